"""An index with what was added to it and taken from it since, without making it again.

What is added lies in segments, each an index of its own that is written once; what is removed is a list of
names (tombstones), which a search leaves out. `edition.json` names both, is replaced whole, and its digest is
the version. The index itself, an output of the pipeline, is never touched: an edition of another index is
refused. `compact` puts all segments into one, without what was removed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_contracts.failure import Exit, Failure
from data_contracts.whole_files import sha256, write_atomically
from stages.index import store
from stages.index.encoders import Encoder
from stages.index.passages import passages_of
from stages.index.store import PassageIndex, open_index

EDITION = "edition.json"
BLOCK = 4096  # chunks that are encoded at a time


class Hit(NamedTuple):
    """A passage that was found: squared distance, document, chunk and tokens."""

    distance: float
    doc_id: str
    chunk: int
    tokens_R: np.ndarray


@dataclass(frozen=True)
class Edition:
    """`parts` are the index and its segments, in the order in which they were added; `removed` are documents
    that are not found.
    """

    place: Path
    parts: tuple[PassageIndex, ...]
    removed: frozenset[str]

    @property
    def base(self) -> PassageIndex:
        """The index of the pipeline."""
        return self.parts[0]

    @property
    def version(self) -> str:
        """The digest of what there is: that of the index where nothing was changed."""
        path = self.place / EDITION
        return sha256(path) if path.exists() else self.base.digest

    @property
    def documents(self) -> set[str]:
        """The documents that can be found."""
        return {doc_id for part in self.parts for doc_id in part.documents} - self.removed

    def __len__(self) -> int:
        """The passages that can be found."""
        return sum(int(np.count_nonzero(~self._gone(part)[part.document_N])) for part in self.parts)

    def search(self, query_D: np.ndarray, count: int, margin: int = 8) -> list[Hit]:
        """The nearest passages, ties to the part that is older; twice as many are looked at until enough are
        left without the removed.

        Raises:
            Failure: (exit code 2) if there are fewer than `count`.
        """
        if count > len(self):
            raise Failure(f"{count} passages", f"the index holds {len(self):,}", "ask for fewer", Exit.USAGE)
        hits = [hit for part in self.parts for hit in self._found(part, query_D, count, margin)]
        return sorted(hits, key=lambda hit: hit.distance)[:count]

    def _gone(self, part: PassageIndex) -> np.ndarray:
        return np.array([doc_id in self.removed for doc_id in part.documents], bool)

    def _found(self, part: PassageIndex, query_D: np.ndarray, count: int, margin: int) -> list[Hit]:
        gone, fetch = self._gone(part), count + margin
        while True:
            ids, values = (x[0] for x in part.vectors.search(query_D[None], min(fetch, len(part))))
            kept = (ids >= 0) & ~gone[part.document_N[ids]]
            if kept.sum() >= count or fetch >= len(part):
                break
            fetch *= 2
        found = zip(ids[kept][:count].tolist(), values[kept][:count].tolist(), strict=True)
        return [
            Hit(value, part.documents[part.document_N[i]], int(part.chunk_N[i]), part.passages_NR[i])
            for i, value in found
        ]


def open_edition(base: PassageIndex, place: Path) -> Edition:
    """The edition in a directory, or the index alone where there is none.

    Raises:
        Failure: (exit code 3) if it is of another index, or a segment is not whole.
    """
    path = place / EDITION
    if not path.exists():
        return Edition(place, (base,), frozenset())
    again = f"remove {place} and add the documents again"
    try:
        said = json.loads(path.read_bytes())
        segments, removed, of_base = said["segments"], frozenset(said["removed"]), said["base"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failure(
            f"{path} cannot be read", f"{type(error).__name__}: {error}", again, Exit.CONTRACT
        ) from error
    if of_base != base.digest:
        cause = f"it is of the index {of_base[:12]}..., there is {base.digest[:12]}..."
        raise Failure(
            f"{place} is of another index", cause, f"{again}, or bring that index back", Exit.CONTRACT
        )
    try:
        parts = tuple(open_index(place / name) for name in segments)
    except Failure as failure:
        raise Failure(failure.what, failure.cause, again, Exit.CONTRACT) from failure
    return Edition(place, (base, *parts), removed)


def add(edition: Edition, texts: Mapping[str, np.ndarray], encoder: Encoder, size: int) -> list[str]:
    """Add documents (doc_id -> tokens) in a segment of their own; those that are new. One that had been
    removed is found again.

    Raises:
        Failure: (exit code 2) if none has a whole chunk; (3) if the encoder is not that of the index.
    """
    edition.base.fits(encoder.identity)
    if edition.base.passages_NR.shape[1] != 2 * size:
        cause = f"its passages have {edition.base.passages_NR.shape[1]} tokens, these would have {2 * size}"
        raise Failure(
            f"{edition.base.directory} has chunks of another size",
            cause,
            "./rpt run index makes it again",
            Exit.CONTRACT,
        )
    known = {doc_id for part in edition.parts for doc_id in part.documents}
    new = {doc_id: ids for doc_id, ids in texts.items() if doc_id not in known}
    short = [doc_id for doc_id, ids in new.items() if len(ids) < size]
    if short:
        raise Failure(
            "nothing was added",
            f"{short[0]} has fewer than {size} tokens, no whole chunk",
            "leave it out",
            Exit.USAGE,
        )
    segments = [part.directory.name for part in edition.parts[1:]]
    if new:
        passages = {doc_id: passages_of(ids, size) for doc_id, ids in new.items()}
        keys = {doc_id: _keys(encoder, rows[:, :size]) for doc_id, rows in passages.items()}
        chunks = {doc_id: np.arange(len(rows), dtype=np.int32) for doc_id, rows in passages.items()}
        segments.append(
            _write_segment(
                edition, {doc_id: (keys[doc_id], passages[doc_id], chunks[doc_id]) for doc_id in new}
            )
        )
    _write(edition, segments, edition.removed - {*texts})
    return [doc_id for doc_id in texts if doc_id not in edition.documents]


def remove(edition: Edition, doc_ids: Iterable[str]) -> None:
    """Leave documents out of every search from now on.

    Raises:
        Failure: (exit code 2) if one is not there.
    """
    named = list(doc_ids)
    if missing := [doc_id for doc_id in named if doc_id not in edition.documents]:
        raise Failure(
            f"document {missing[0]}",
            "the index does not hold it",
            "./rpt index search shows the names",
            Exit.USAGE,
        )
    _write(edition, [part.directory.name for part in edition.parts[1:]], edition.removed | {*named})


def compact(edition: Edition) -> None:
    """Put what is left of all segments into one; what was removed of the index itself stays a tombstone."""
    left = {}
    for part in edition.parts[1:]:
        for number, doc_id in enumerate(part.documents):
            if doc_id not in edition.removed:
                rows = part.document_N == number
                left[doc_id] = (
                    np.asarray(part.keys_ND[rows]),
                    np.asarray(part.passages_NR[rows]),
                    np.asarray(part.chunk_N[rows]),
                )
    segments = [_write_segment(edition, left)] if left else []
    _write(edition, segments, edition.removed & {*edition.base.documents})
    for directory in edition.place.iterdir():
        if directory.is_dir() and directory.name not in segments:
            shutil.rmtree(directory)


def _keys(encoder: Encoder, chunks_CM: np.ndarray) -> np.ndarray:
    keys = np.concatenate(
        [encoder.encode(chunks_CM[first : first + BLOCK]) for first in range(0, len(chunks_CM), BLOCK)]
    )
    if not np.isfinite(keys).all():
        raise Failure(
            "nothing was added",
            "the encoder gave a key that is not finite",
            "look at the text and the encoder",
            Exit.CONTRACT,
        )
    return keys.astype(np.float32)


def _write_segment(edition: Edition, rows: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> str:
    """A new segment with (keys, passages, chunks) of each document; its name, which is the digest of what it
    holds.
    """
    making = edition.place / ".making"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    keys, passages, chunks = (np.concatenate(parts) for parts in zip(*rows.values(), strict=True))
    documents = np.repeat(np.arange(len(rows), dtype=np.int32), [len(chunk) for _, _, chunk in rows.values()])
    arrays = zip(store.ARRAYS, (keys, passages.astype(np.uint32), documents, chunks), strict=True)
    for name, array in arrays:
        np.save(making / name, array)
    (making / store.DOCUMENTS).write_text(json.dumps([*rows]))
    base = edition.base.about
    about: dict[str, Any] = {
        "kind": "exact",
        "metric": base["metric"],
        "probes": base["probes"],
        "recall": None,
        "passages": len(keys),
    }
    store.seal(
        making,
        about
        | {
            "width": keys.shape[1],
            "encoder": base["encoder"],
            "made_of": {"base": edition.base.digest},
        },
    )
    name = sha256(making / store.MANIFEST)[:16]
    if (edition.place / name).exists():  # the same passages: what is there may be in use
        shutil.rmtree(making)
    else:
        making.rename(edition.place / name)
    return name


def _write(edition: Edition, segments: list[str], removed: Iterable[str]) -> None:
    edition.place.mkdir(parents=True, exist_ok=True)
    said = {"base": edition.base.digest, "segments": segments, "removed": sorted(removed)}
    write_atomically(edition.place / EDITION, (json.dumps(said, indent=1) + "\n").encode())
