"""Tokens and chunks: documents as numbers, whole and in pieces of `geometry.chunk_tokens`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

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


def list_column(rows: Sequence[np.ndarray]) -> pa.ListArray:
    """A list column of uint32 rows, the inverse of `list_rows`; no Python object per element here either, and
    no copy of a single row.
    """
    # refused beyond 2^31, where 32 bits would wrap
    offsets = pa.array(np.cumsum([0, *map(len, rows)], dtype=np.int64), pa.int32())
    values = rows[0] if len(rows) == 1 else np.concatenate([np.zeros(0, np.uint32), *rows])
    return pa.ListArray.from_arrays(offsets, values, type=TOKEN_IDS)


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
    """What one block of rows can show: it may begin and end inside a document, so only its first row is free
    to have any number.
    """
    yield from unknown_splits(table)
    size = fact(table, "chunk_tokens")
    doc_id = table.column("doc_id")
    goes_on = pc.equal(doc_id.slice(1), doc_id.slice(0, table.num_rows - 1)).to_numpy()
    lengths = pc.list_value_length(table.column("token_ids")).to_numpy()
    if (lengths[:-1][goes_on] != size).any() or (lengths > size).any() or (lengths < 1).any():
        yield f"a chunk that is not the last of its document must hold {size} tokens"
    chunk = table.column("chunk").to_numpy()
    if (chunk[1:][~goes_on] != 0).any() or (np.diff(chunk)[goes_on] != 1).any() or chunk[0] < 0:
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
