"""Mining: for every chunk, the earlier chunks of its document that BM25 likes best (paper section 3.2).

Two forms of query: `qt` = (c_i, c_i+1) finds candidates to score for labels, within the training sequence for
the train split and within the document for the others; `q` = c_i alone is what a retriever without scores may
use at test time, and is not mined for the train split.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from data_contracts.candidates import CANDIDATES
from data_contracts.documents import document_runs
from data_contracts.tokens import CHUNKS
from stages.mining.bm25 import Candidates, best_candidates
from stages.mining.summary import summarise
from stages.parameters import Geometry, Mining
from stages.runner.stage import ShardStage

BLOCK_ROWS = 2**18


FORMS = {"train": ("qt",), "validation": ("q", "qt"), "test": ("q", "qt")}


class _Found(NamedTuple):
    """Candidates of one pool, which begins at chunk `start` of its document."""

    doc_id: str
    split: str
    form: str
    start: int
    candidates: Candidates


def mine(
    chunks: pa.Table, geometry: Geometry, mining: Mining, forms: Mapping[str, tuple[str, ...]] = FORMS
) -> Iterator[pa.Table]:
    """Candidates of every query chunk of every document, in blocks of about `BLOCK_ROWS` rows that cut no
    query; at least one block.

    `forms` are the queries of each split. A chunk without an eligible chunk has no row. The last chunk of a
    training sequence is no query `qt`: its target lies in the next sequence, where its neighbours cannot
    help.
    """
    pending: list[_Found] = []
    rows = blocks = 0
    for found in _found(chunks, geometry, mining, forms):
        pending.append(found)
        rows += len(found.candidates.query_R)
        if rows >= BLOCK_ROWS:
            yield _table(pending, geometry)
            pending, rows, blocks = [], 0, blocks + 1
    if pending or not blocks:
        yield _table(pending, geometry)


def _found(
    chunks: pa.Table, geometry: Geometry, mining: Mining, forms: Mapping[str, tuple[str, ...]]
) -> Iterator[_Found]:
    for doc_id, begin, end in document_runs(chunks.column("doc_id")):
        split = chunks.column("split")[begin].as_py()
        full_CM = _full_chunks(chunks.column("token_ids").slice(begin, end - begin), geometry.chunk_tokens)
        for form in forms.get(split, ()):
            for start, stop in _pools(len(full_CM), split, geometry.sequence_chunks):
                for candidates in best_candidates(
                    full_CM[start:stop], geometry.stride_chunks, mining, form == "qt"
                ):
                    yield _Found(doc_id, split, form, start, candidates)


def _full_chunks(token_ids: pa.ChunkedArray, size: int) -> np.ndarray:
    """[C, M] tokens of one document without its last chunk if that is short, without a Python
    object a chunk.
    """
    tokens = token_ids.combine_chunks().flatten().to_numpy()
    return tokens[: len(tokens) // size * size].reshape(-1, size)


def _pools(full_chunks: int, split: str, sequence_chunks: int) -> list[tuple[int, int]]:
    """(first chunk, chunk after the last) of each range of chunks that a query searches; none is empty."""
    size = sequence_chunks if split == "train" else max(full_chunks, 1)
    return [(start, min(start + size, full_chunks)) for start in range(0, full_chunks, size)]


def _table(found: list[_Found], geometry: Geometry) -> pa.Table:
    """The rows of one block; what is equal in all rows of a pool is repeated by Arrow."""
    columns: dict[str, Any] = {name: [] for name in CANDIDATES.schema.names}
    if found:
        doc_ids, splits, forms, starts, parts = zip(*found, strict=True)
        query_R, candidate_R, rank_R, score_R = (
            np.concatenate(arrays) for arrays in zip(*parts, strict=True)
        )
        pool_R = np.repeat(np.arange(len(found)), [len(part.query_R) for part in parts])
        start_R = np.array(starts, np.int32)[pool_R]
        for name, values in (("doc_id", doc_ids), ("split", splits), ("query_form", forms)):
            columns[name] = pa.array(values, pa.string()).take(pa.array(pool_R))
        columns |= {
            "query_chunk": start_R + query_R,
            "candidate_chunk": start_R + candidate_R,
            "rank": rank_R,
            "bm25": score_R,
        }
    return CANDIDATES.table(
        columns, stride_chunks=geometry.stride_chunks, sequence_chunks=geometry.sequence_chunks
    )


STAGE = ShardStage(
    "mining", mine, ("geometry", "mining"), (CHUNKS,), CANDIDATES, "candidates", summary=summarise
)
