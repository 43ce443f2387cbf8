"""Which labels a person means: a corpus of this workspace, a directory, or `REV:CORPUS`, labels as a git
revision had them.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from data_contracts.failure import Exit, Failure
from flows.dvc_task import get_version
from flows.workspace import ROOT, STATE, from_caller
from reports.labels.label_set import LabelSet, open_label_set

INDEX = STATE / "label_index"
FETCHED = STATE / "label_versions"
PARTS = ("labels", "chunks", "documents")


def open_version(version: str | None) -> LabelSet:
    """The labels that `version` names; raises as `locate` and `open_label_set` do."""
    return open_label_set(locate(version), INDEX)


def locate(version: str | None) -> Path:
    """The directory of the labels that `version` names, with chunks and documents beside it; None is the only
    corpus that has labels.

    Raises:
        Failure: (exit code 2) if there are none of this name, or several to choose from; (5) if data of a
            revision is not to be had.
    """
    known = corpora()
    if version is None:
        return _labels_of(_only(known))
    if version in known:
        return _labels_of(version)
    directory = from_caller(Path(version))
    for place in (directory, directory / "labels"):
        if (place / "manifest.json").is_file():
            return place.absolute()
    revision, colon, corpus = version.rpartition(":")
    if colon:
        return fetch(commit_of(revision), corpus) / "labels"
    cause = (
        "it is no directory with labels, no REV:CORPUS, and none of the corpora with labels here:"
        f" {', '.join(known) or 'there are none'}"
    )
    raise Failure(
        f"label version {version!r}",
        cause,
        "`./rpt status` lists what there is; `./rpt run scoring` makes labels",
        Exit.USAGE,
    )


def corpora() -> list[str]:
    """The corpora of this workspace that have labels."""
    return sorted(path.parent.parent.name for path in (ROOT / "artifacts").glob("*/labels/manifest.json"))


def _labels_of(corpus: str) -> Path:
    return ROOT / "artifacts" / corpus / "labels"


def _only(known: list[str]) -> str:
    if not known:
        remedy = "`./rpt run scoring` makes them, `dvc pull` fetches them; or name a directory or REV:CORPUS"
        raise Failure(
            "there are no labels to look at", "no corpus under artifacts/ has any", remedy, Exit.USAGE
        )
    if len(known) > 1:
        raise Failure(
            "which labels?", f"several corpora have some: {', '.join(known)}", "name one of them", Exit.USAGE
        )
    return known[0]


def commit_of(revision: str) -> str:
    """The full hash of the commit that a branch, a tag or any other name of git stands for.

    Raises:
        Failure: (exit code 2) if git knows no such commit; (5) if there is no git.
    """
    command = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    try:
        found = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    except OSError as error:
        raise Failure(
            f"revision {revision!r}", f"git cannot be run: {error}", "install git", Exit.ENVIRONMENT
        ) from error
    if found.returncode:
        cause = found.stderr.strip() or "git knows no commit of this name here"
        raise Failure(
            f"revision {revision!r}",
            cause,
            "`git log` and `git tag` list them; `git fetch` gets those of others",
            Exit.USAGE,
        )
    return found.stdout.strip()


def fetch(commit: str, corpus: str) -> Path:
    """The directory with labels, chunks and documents of a corpus as a commit had them, fetched once.

    Raises:
        Failure: (exit code 2) if the commit has no labels of this corpus; (5) if their data is not to be had.
    """
    if corpus in ("", ".", "..") or "/" in corpus:
        raise Failure(
            f"corpus {corpus!r}",
            "this is no name of a corpus",
            "write REV:CORPUS, such as HEAD~1:demo",
            Exit.USAGE,
        )
    place = FETCHED / commit / corpus
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".") as scratch:
            arrived = Path(scratch) / corpus
            get_version(commit, [f"artifacts/{corpus}/{part}" for part in PARTS], arrived)
            arrived.rename(place)
    return place
