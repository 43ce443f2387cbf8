"""The index of a corpus on disk: keys, passages and where each comes from, as arrays that are mapped into
memory, not read.

`index.json` is written last and holds the digest of every other file, so that a directory without it, or with
other files, is no index.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from data_contracts.failure import Exit, Failure
from data_contracts.whole_files import sha256, write_atomically
from stages.index.vectors import VectorIndex, read_graph

MANIFEST, GRAPH, DOCUMENTS = "index.json", "graph.faiss", "documents.json"
KEYS, PASSAGES, DOCUMENT, CHUNK = "keys.npy", "passages.npy", "document.npy", "chunk.npy"
ARRAYS = (KEYS, PASSAGES, DOCUMENT, CHUNK)
VERSION = 2
REMEDY = "./rpt run index makes it again"


@dataclass(frozen=True)
class PassageIndex:
    """Passages 0 to n - 1 of a corpus: their keys [n, D], their tokens [n, R], the document (a number in
    `documents`) and chunk of each.

    `about` is what index.json says: encoder, digests of what it was made from, kind, recall. `digest` is that
    of index.json.
    """

    directory: Path
    about: dict[str, Any]
    digest: str
    documents: list[str]
    keys_ND: np.ndarray
    passages_NR: np.ndarray
    document_N: np.ndarray
    chunk_N: np.ndarray

    def __len__(self) -> int:
        return len(self.keys_ND)

    @cached_property
    def number_of(self) -> dict[str, int]:
        """doc_id -> its number."""
        return {doc_id: number for number, doc_id in enumerate(self.documents)}

    @cached_property
    def vectors(self) -> VectorIndex:
        """The search among the keys."""
        graph = None if self.about["kind"] == "exact" else read_graph(self.directory / GRAPH)
        return VectorIndex(self.keys_ND, self.about["metric"], graph, self.about["probes"])

    def fits(self, encoder: dict[str, Any]) -> None:
        """Whether it is of the encoder of this identity.

        Raises:
            Failure: (exit code 3) if it is of another.
        """
        known = self.about["encoder"]
        if known != encoder:
            cause = f"its keys were made by {known}, those to be looked up by {encoder}"
            raise Failure(f"{self.directory} is of another encoder", cause, REMEDY, Exit.CONTRACT)

    def made_of(self, name: str, digest: str) -> None:
        """Whether it was made of this version of an artifact.

        Raises:
            Failure: (exit code 3) if it was made of another.
        """
        known = self.about["made_of"][name]
        if known != digest:
            cause = f"it was made of {name} {known[:12]}..., there are {name} {digest[:12]}..."
            raise Failure(
                f"{self.directory} is of another version of the corpus", cause, REMEDY, Exit.CONTRACT
            )


def seal(directory: Path, about: dict[str, Any]) -> None:
    """Write index.json over the files that are there; only now is it an index."""
    files = {
        path.name: sha256(path)
        for path in sorted(directory.iterdir())
        if path.name != MANIFEST and not path.name.startswith(".")
    }
    write_atomically(directory / MANIFEST, _written({"version": VERSION, "files": files, **about}))


def _written(about: dict[str, Any]) -> bytes:
    """The bytes of index.json; it holds the SHA-256 of what it says."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    return (json.dumps({**about, "sha256": digest}, indent=1, sort_keys=True) + "\n").encode()


def open_index(directory: Path) -> PassageIndex:
    """The index in a directory; every file is read once to compare its digest, and again when its manifest
    has changed.

    Raises:
        Failure: (exit code 3) if there is no index, it is not whole, or a file is not as it was written.
    """
    directory = directory.resolve()
    try:
        return _opened(directory, sha256(directory / MANIFEST))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _broken(directory, f"{type(error).__name__}: {error}") from error


@lru_cache(maxsize=32)
def _opened(directory: Path, digest: str) -> PassageIndex:
    raw = (directory / MANIFEST).read_bytes()
    about = json.loads(raw)
    if about["version"] != VERSION:
        raise _broken(directory, f"it says it is version {about['version']}, this code reads {VERSION}")
    del about["sha256"]
    if raw != _written(about):
        raise _broken(directory, f"the SHA-256 of {MANIFEST} does not fit what it says")
    for name, promised in about["files"].items():
        if sha256(directory / name) != promised:
            raise _broken(directory, f"{name} is not as it was written")
    arrays = [np.load(directory / name, mmap_mode="r") for name in ARRAYS]
    if {len(array) for array in arrays} != {about["passages"]}:
        raise _broken(directory, f"its arrays have not {about['passages']} rows each")
    return PassageIndex(directory, about, digest, json.loads((directory / DOCUMENTS).read_bytes()), *arrays)


def _broken(directory: Path, cause: str) -> Failure:
    return Failure(f"{directory} is no whole index", cause, REMEDY, Exit.CONTRACT)
