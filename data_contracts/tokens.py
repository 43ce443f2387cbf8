"""Tokens and chunks: documents as numbers, whole and in pieces of `geometry.chunk_tokens`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.contract import Contract, fact, field
from data_contracts.documents import DOC_ID, SPLIT, unknown_splits

TOKEN_IDS = pa.list_(pa.uint32())


def list_rows(column: pa.ChunkedArray) -> list[np.ndarray]:
    """The rows of a list column as NumPy views, without a Python object per element."""
    rows: list[np.ndarray] = []
    for chunk in column.chunks:
        values, offsets = chunk.values.to_numpy(zero_copy_only=False), chunk.offsets.to_numpy()
        rows.extend(values[begin:end] for begin, end in itertools.pairwise(offsets))
    return rows


def _check_tokens(table: pa.Table) -> Iterator[str]:
    yield from unknown_splits(table)
    if pc.any(pc.less(pc.list_value_length(table.column("token_ids")), 3)).as_py():
        yield "a document without a token between begin and end of text"


TOKENS = Contract(
    "tokens",
    1,
    pa.schema([DOC_ID, SPLIT, field("token_ids", TOKEN_IDS, "begin of text, the document, end of text")]),
    ("doc_id",),
    _check_tokens,
    facts=("tokenizer",),
)


def _check_chunks(table: pa.Table) -> Iterator[str]:
    yield from unknown_splits(table)
    size = fact(table, "chunk_tokens")
    lengths = pc.list_value_length(table.column("token_ids")).to_numpy()
    chunk = table.column("chunk").to_numpy()
    last = np.append(chunk[1:] <= chunk[:-1], True)
    if (lengths[~last] != size).any() or (lengths > size).any() or (lengths < 1).any():
        yield f"a chunk that is not the last of its document must hold {size} tokens"
    first = np.append(True, last[:-1])
    if (chunk[first] != 0).any() or (np.diff(chunk)[~last[:-1]] != 1).any():
        yield "chunks of a document must be numbered 0, 1, 2, ..."
    if (table.column("segment").to_numpy() != chunk // fact(table, "sequence_chunks")).any():
        yield "segment must be chunk // geometry.sequence_chunks"


CHUNKS = Contract(
    "chunks",
    1,
    pa.schema(
        [
            DOC_ID,
            SPLIT,
            field("chunk", pa.int32(), "position in the document, from 0", "chunks"),
            field("segment", pa.int32(), "training sequence of the document that the chunk falls in, from 0"),
            field("token_ids", TOKEN_IDS, "the tokens; only the last chunk of a document may be short"),
            field("text", pa.string(), "the tokens decoded, U+FFFD where a character is cut"),
        ]
    ),
    ("doc_id", "chunk"),
    _check_chunks,
    facts=("chunk_tokens", "sequence_chunks"),
)
