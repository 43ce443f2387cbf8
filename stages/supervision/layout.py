"""Lays (query, candidate, score) rows out as [C, S] arrays, one pair of arrays a training sequence."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from data_contracts.documents import document_runs
from data_contracts.sequences import SUPERVISION
from stages.parameters import Geometry


def supervise(sequences: pa.Table, pairs: pa.Table, score: str, slots: int, geometry: Geometry) -> pa.Table:
    """Supervision rows for `sequences` from the first `slots` ranks of `pairs`, with column `score` as the
    score.

    A chunk is labelled if it has at least one row in `pairs`; candidates are counted from the start of the
    sequence.
    """
    chunks = geometry.sequence_chunks
    query, candidate, rank, value = (
        pairs.column(name).to_numpy() for name in ("query_chunk", "candidate_chunk", "rank", score)
    )
    runs = {doc_id: (begin, end) for doc_id, begin, end in document_runs(pairs.column("doc_id"))}
    columns: dict[str, list] = {"candidates": [], "scores": [], "labelled": []}
    rows = zip(
        sequences.column("doc_id").to_pylist(), sequences.column("first_chunk").to_pylist(), strict=True
    )
    for doc_id, first in rows:
        begin, end = runs.get(doc_id, (0, 0))
        inside = begin + np.flatnonzero(
            (query[begin:end] // chunks == first // chunks) & (rank[begin:end] < slots)
        )
        candidates, scores = np.full((chunks, slots), -1, np.int32), np.zeros((chunks, slots), np.float32)
        candidates[query[inside] - first, rank[inside]] = candidate[inside] - first
        scores[query[inside] - first, rank[inside]] = value[inside]
        columns["candidates"].append(candidates.ravel())
        columns["scores"].append(scores.ravel())
        columns["labelled"].append((candidates >= 0).any(axis=1))
    keys = {name: sequences.column(name) for name in ("doc_id", "first_chunk")}
    return SUPERVISION.table(keys | columns, sequence_chunks=chunks, slots=slots)
