"""The passages of a whole corpus that training sequences read, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.contract import open_artifact
from data_contracts.documents import document_runs
from data_contracts.failure import Exit, Failure
from data_contracts.passages import CORPUS_NEIGHBOURS, NEAREST, RANDOM
from data_contracts.tokens import list_rows
from stages.parameters import Geometry

ORIGIN_OF = {"corpus": NEAREST, "corpus_random": RANDOM}
"""By what a system's `retriever` is: which passages its chunks read."""


class PassageSource(NamedTuple):
    """The artifact corpus_neighbours, and which passages of it a chunk reads: the first `neighbours` of an
    origin.
    """

    directory: Path
    origin: str
    neighbours: int


def passages_of(
    source: PassageSource, keys: Sequence[tuple[str, int]], lengths_S: np.ndarray, geometry: Geometry
) -> np.ndarray:
    """[S, C, N, R] tokens of what the chunks of S training sequences (doc_id, first chunk) read; -1 for a
    chunk that is not whole.

    `lengths_S` are the tokens that each sequence reads.

    Raises:
        Failure: (exit code 2) if a chunk reads more passages than were found; (3) if they were found for
            chunks of another size, or not for just these documents.
    """
    artifact, chunks = open_artifact(CORPUS_NEIGHBOURS, source.directory), geometry.sequence_chunks
    there, size = artifact.fact("counts")["train"][source.origin], artifact.fact("chunk_tokens")
    if size != geometry.chunk_tokens:
        raise _misfit(
            source,
            f"they are for chunks of {size} tokens, geometry.chunk_tokens is {geometry.chunk_tokens}",
        )
    check_count(source, there, "random" if source.origin == RANDOM else "neighbours")
    passages = np.full((len(keys), chunks, source.neighbours, 2 * size), -1, np.int32)
    base = {doc_id: row for row, (doc_id, first) in enumerate(keys) if not first}
    for shard in artifact.shards:
        rows = first_passages(artifact.read(shard), "train", source)
        tokens, query = (
            np.stack([np.zeros(2 * size, np.uint32), *list_rows(rows.column("token_ids"))])[1:],
            rows.column("query_chunk").to_numpy(),
        )
        for doc_id, begin, end in document_runs(rows.column("doc_id")):
            if doc_id not in base:
                raise _misfit(source, f"document {doc_id} has no training sequence")
            asked = query[begin : end : source.neighbours]
            read = tokens[begin:end].reshape(len(asked), source.neighbours, 2 * size)
            passages[base[doc_id] + asked // chunks, asked % chunks] = read
    whole = np.arange(chunks) < (lengths_S // size)[:, None]
    if len(lacking := np.argwhere(whole & (passages[:, :, 0, 0] < 0))):
        doc_id, first = keys[lacking[0, 0]]
        raise _misfit(
            source,
            f"it has nothing for {len(lacking):,} of {whole.sum():,} chunks; the first is"
            f" {first + lacking[0, 1]} of document {doc_id}",
        )
    return passages


def _misfit(source: PassageSource, cause: str) -> Failure:
    what = f"{source.directory} does not fit the sequences"
    return Failure(what, cause, "./rpt run corpus_neighbours", Exit.CONTRACT)


def first_passages(neighbours: pa.Table, split: str, source: PassageSource) -> pa.Table:
    """The rows of a split that a system reads, by document, chunk and rank."""
    here = pc.and_(
        pc.equal(neighbours.column("split"), split), pc.equal(neighbours.column("origin"), source.origin)
    )
    return neighbours.filter(pc.and_(here, pc.less(neighbours.column("rank"), source.neighbours)))


def check_count(source: PassageSource, found: int, key: str) -> None:
    """Whether enough passages were found.

    Raises:
        Failure: (exit code 2) if not.
    """
    if source.neighbours > found:
        cause = f"a chunk reads {source.neighbours}, {source.directory} has {found} a chunk ({source.origin})"
        raise Failure(
            "there are too few passages",
            cause,
            f"raise corpus_neighbours.{key} to {source.neighbours}",
            Exit.USAGE,
        )
