"""Ledger rows: what a reference LM said of a pair of chunks, named by content, so that any run may use it
again.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.candidates import HALVES
from data_contracts.contract import Contract, field
from data_contracts.documents import DOC_ID


def _check_ledger(table: pa.Table) -> Iterator[str]:
    if not pc.all(pc.match_substring_regex(table.column("doc_id"), "^[0-9a-f]{16}$")).as_py():
        yield "a doc_id that is not 16 hex digits"
    query, candidate = table.column("query_chunk").to_numpy(), table.column("candidate_chunk").to_numpy()
    if (candidate < 0).any() or (candidate > query - 2).any():
        yield "a candidate must lie at least 2 chunks before its query, and none before chunk 0"
    logprobs = table.column("halves").combine_chunks().values.to_numpy(zero_copy_only=False)
    if not (np.isfinite(logprobs).all() and (logprobs <= 0).all()):
        yield "log-probabilities must be finite and not positive"


LEDGER = Contract(
    "ledger",
    1,
    pa.schema(
        [
            DOC_ID,
            field("query_chunk", pa.int32(), "chunk i; its target is chunk i + 1", "chunks"),
            field(
                "candidate_chunk",
                pa.int32(),
                "chunk j, read with chunk j + 1 before the query; i - 2 is the local context",
                "chunks",
            ),
            field(
                "halves",
                HALVES,
                "log P(c_i+1 | c_j, c_j+1, c_i) of the first and the second half of the target",
                "nats",
            ),
        ]
    ),
    ("doc_id", "query_chunk", "candidate_chunk"),
    _check_ledger,
    facts=("scorer",),
)
