"""Mining: for every chunk, the earlier chunks of its document that BM25 likes best (paper section 3.2).

Two forms of query: `qt` = (c_i, c_i+1) finds candidates to score for labels, within the training sequence for the train split and within
the document for the others; `q` = c_i alone is what a retriever without scores may use at test time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from data_contracts.candidates import CANDIDATES
from data_contracts.documents import document_runs
from data_contracts.tokens import CHUNKS, list_rows
from stages.bm25 import best_candidates
from stages.parameters import Geometry, Mining
from stages.stage import ShardStage


def _pools(full_chunks: int, split: str, sequence_chunks: int) -> list[tuple[int, int]]:
    if split != "train":
        return [(0, full_chunks)]
    return [(start, min(start + sequence_chunks, full_chunks)) for start in range(0, full_chunks, sequence_chunks)]


def mine(chunks: pa.Table, geometry: Geometry, mining: Mining) -> pa.Table:
    """Candidates of every query chunk of every document; a chunk without an eligible chunk has no row.

    The last chunk of a training sequence is no query: its target lies in the next sequence, where its neighbours cannot help.
    """
    columns: dict[str, Any] = {name: [] for name in CANDIDATES.schema.names}
    tokens, splits = list_rows(chunks.column("token_ids")), chunks.column("split").to_pylist()
    for doc_id, begin, end in document_runs(chunks.column("doc_id")):
        full = np.array([row for row in tokens[begin:end] if len(row) == geometry.chunk_tokens])
        if not len(full):
            continue
        forms = ("qt",) if splits[begin] == "train" else ("q", "qt")
        for form in forms:
            for start, stop in _pools(len(full), splits[begin], geometry.sequence_chunks):
                for query, order, scores in best_candidates(full[start:stop], geometry.stride_chunks, mining, form == "qt"):
                    columns["query_chunk"].append(np.full(len(order), start + query, np.int32))
                    columns["candidate_chunk"].append((start + order).astype(np.int32))
                    columns["rank"].append(np.arange(len(order), dtype=np.int16))
                    columns["bm25"].append(scores)
                    columns["doc_id"] += [doc_id] * len(order)
                    columns["split"] += [splits[begin]] * len(order)
                    columns["query_form"] += [form] * len(order)
    for name in ("query_chunk", "candidate_chunk", "rank", "bm25"):
        kind = CANDIDATES.schema.field(name).type.to_pandas_dtype()
        columns[name] = np.concatenate(columns[name]) if columns[name] else np.empty(0, kind)
    return CANDIDATES.table(columns, stride_chunks=geometry.stride_chunks, sequence_chunks=geometry.sequence_chunks)


STAGE = ShardStage("mining", mine, ("geometry", "mining"), (CHUNKS,), CANDIDATES, "candidates")
