"""Training sequences and the supervision that a retriever learns from, row for row the same sequences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.contract import Contract, fact, field
from data_contracts.documents import DOC_ID
from data_contracts.tokens import TOKEN_IDS, list_rows

FIRST_CHUNK = field(
    "first_chunk", pa.int32(), "chunk of the document that the sequence begins with", "chunks"
)


def _check_sequences(table: pa.Table) -> Iterator[str]:
    longest = pc.max(pc.list_value_length(table.column("token_ids"))).as_py()
    if longest > fact(table, "sequence_tokens") + 1:
        yield (
            f"a sequence of {longest} tokens is longer than geometry allows,"
            f" {fact(table, 'sequence_tokens')} + 1"
        )


SEQUENCES = Contract(
    "sequences",
    1,
    pa.schema(
        [
            DOC_ID,
            FIRST_CHUNK,
            field("token_ids", TOKEN_IDS, "inputs and targets; the last token is target only"),
        ]
    ),
    ("doc_id", "first_chunk"),
    _check_sequences,
    facts=("sequence_tokens",),
)


def _check_supervision(table: pa.Table) -> Iterator[str]:
    chunks, slots = fact(table, "sequence_chunks"), fact(table, "slots")
    for name, length in (("candidates", chunks * slots), ("scores", chunks * slots), ("labelled", chunks)):
        if pc.any(pc.not_equal(pc.list_value_length(table.column(name)), length)).as_py():
            yield f"`{name}` must hold {length} values a row"
            return
    candidates = np.array(list_rows(table.column("candidates"))).reshape(-1, chunks, slots)
    scores = np.array(list_rows(table.column("scores")))
    if (candidates >= np.arange(chunks)[:, None]).any() or (candidates < -1).any():
        yield "a candidate must lie in the sequence, before its query, or be -1"
    if not np.isfinite(scores).all():
        yield "scores must be finite"


SUPERVISION = Contract(
    "supervision",
    1,
    pa.schema(
        [
            DOC_ID,
            FIRST_CHUNK,
            field(
                "candidates",
                pa.list_(pa.int32()),
                "[C, S] flattened: chunks counted from the start of the sequence, -1 = none",
            ),
            field("scores", pa.list_(pa.float32()), "[C, S] flattened: BM25, or s_t in nats"),
            field("labelled", pa.list_(pa.bool_()), "[C]: whether the chunk was scored at all"),
        ]
    ),
    ("doc_id", "first_chunk"),
    _check_supervision,
    facts=("sequence_chunks", "slots"),
)
