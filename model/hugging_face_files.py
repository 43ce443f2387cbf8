"""Model directories of Hugging Face: `config.json`, `tokenizer.json` and safetensors, of which alone weights
are read.

A pickled checkpoint can run code, so one is never opened.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


def read_values(directory: Path, model: str) -> Any:
    """What `config.json` of the directory of a `model` holds.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is no JSON.
    """
    file = directory / "config.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} is missing; a {model} is a directory with config.json, model.safetensors and"
            " tokenizer.json"
        )
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError(f"{file} is nested too deeply; take the one that came with the weights") from error


def digest(directory: Path) -> str:
    """SHA-256 over the names and bytes of config.json, the safetensors and tokenizer.json: what decides what
    the model computes.

    Raises:
        FileNotFoundError: if one of them is missing.
    """
    total = hashlib.sha256()
    for file in (directory / "config.json", *safetensors_files(directory), directory / "tokenizer.json"):
        total.update(f"{file.name}\n{_file_digest(file)}\n".encode())
    return total.hexdigest()


def tokenizer_digest(directory: Path) -> str:
    """SHA-256 of the bytes of tokenizer.json.

    Raises:
        FileNotFoundError: if it is missing.
    """
    return _file_digest(directory / "tokenizer.json")


def safetensors_files(directory: Path) -> list[Path]:
    """The weights: `model.safetensors`, or the files that `model.safetensors.index.json` names, or shards
    where neither is there.

    Raises:
        FileNotFoundError: if there are none, or one is missing; it says which pickled ones are there.
        ValueError: if other safetensors lie beside them, which may be of another model or another step.
    """
    files = sorted(directory.glob("*.safetensors"))
    if not files:
        pickled = sorted(
            file.name for pattern in ("*.bin", "*.pt", "*.pth") for file in directory.glob(pattern)
        )
        raise FileNotFoundError(
            f"{directory} holds no *.safetensors, only {pickled or 'no weights at all'}; pickled weights are"
            " never opened: download a revision that has model.safetensors, or convert it with transformers:"
            " save_pretrained(..., safe_serialization=True)"
        )
    named, there = named_weights(directory), {file.name for file in files}
    if named and (missing := sorted(named - there)):
        raise FileNotFoundError(
            f"{directory} lacks {', '.join(missing)}, which {INDEX} names; download it again"
        )
    if named and (strays := sorted(there - named)):
        raise ValueError(
            f"{directory} has {', '.join(strays)} beside {', '.join(sorted(named))}; remove what is not of"
            " this model"
        )
    return files


def named_weights(directory: Path) -> set[str]:
    """Names of the files that hold the weights, by the index or by convention; none if neither says so.

    Raises:
        ValueError: if the index cannot be read.
    """
    index = directory / INDEX
    if not index.is_file():
        return {SINGLE} if (directory / SINGLE).is_file() else set()
    try:
        named = set(json.loads(index.read_text())["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{index} is no index of weights ({type(error).__name__}: {error}); download it again"
        ) from error
    if not named or not all(isinstance(name, str) and name == Path(name).name for name in named):
        raise ValueError(f"{index} names no files of its own directory; download it again")
    return named


def _file_digest(file: Path) -> str:
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} is missing; copy the {file.name} that belongs to these weights there"
        )
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
