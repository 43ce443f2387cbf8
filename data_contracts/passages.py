"""Retrieval from a whole corpus: the keys of its chunks, and the passages that were found for each chunk in
documents other than its own.

A passage is a chunk and the one after it. At the end of a document the last token, which is the end of text,
is repeated.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.candidates import QUERY_CHUNK
from data_contracts.contract import Contract, fact, field
from data_contracts.documents import DOC_ID, SPLIT, unknown_splits
from data_contracts.tokens import TOKEN_IDS

NEAREST, RANDOM = "nearest", "random"
ORIGINS = (NEAREST, RANDOM)


def _check_keys(table: pa.Table) -> Iterator[str]:
    yield from unknown_splits(table)
    width = fact(table, "width")
    if not pc.all(pc.equal(pc.list_value_length(table.column("key")), width)).as_py():
        yield f"a key that has not {width} values"
    elif not all(np.isfinite(chunk.flatten().to_numpy()).all() for chunk in table.column("key").chunks):
        yield "a key that is not finite"
    if pc.min(table.column("chunk")).as_py() < 0:
        yield "a chunk below 0"


KEYS = Contract(
    "keys",
    1,
    pa.schema(
        [
            DOC_ID,
            SPLIT,
            field(
                "chunk",
                pa.int32(),
                "position in the document, from 0; only whole chunks have a key",
                "chunks",
            ),
            field("key", pa.list_(pa.float32()), "what the frozen encoder says of the chunk"),
        ]
    ),
    ("doc_id", "chunk"),
    _check_keys,
    facts=("encoder", "width"),
)


def _check_neighbours(table: pa.Table) -> Iterator[str]:
    yield from unknown_splits(table)
    origin, rank = table.column("origin").to_numpy(), table.column("rank").to_numpy()
    if odd := {*np.unique(origin)} - {*ORIGINS}:
        yield f"unknown origins {sorted(odd)}"
    if pc.any(pc.equal(table.column("doc_id"), table.column("source_doc"))).as_py():
        yield "a passage of the query's own document"
    if rank[0] != 0 or not ((np.diff(rank) == 1) | (rank[1:] == 0)).all():
        yield "ranks of a query must be 0, 1, 2, ..."
    begins = np.flatnonzero(rank == 0)
    found = np.diff(begins, append=len(rank))
    wanted = [
        fact(table, "counts")[split][kind]
        for split, kind in zip(table.column("split").to_numpy()[begins], origin[begins], strict=True)
    ]
    if (found != wanted).any():
        yield "a query with fewer or more passages than asked for"
    distance = table.column("distance").to_numpy()
    if not np.isfinite(distance).all() or (distance < 0).any():
        yield "distances must be finite and not negative"
    elif ((origin[1:] == NEAREST) & (rank[1:] > 0) & (np.diff(distance) < 0)).any():
        yield "distances of the nearest passages must rise with rank"
    size = fact(table, "chunk_tokens")
    if not pc.all(pc.equal(pc.list_value_length(table.column("token_ids")), 2 * size)).as_py():
        yield f"a passage that has not {2 * size} tokens"
    for name in ("query_overlap", "target_overlap"):
        overlap = table.column(name).to_numpy()
        if (overlap < 0).any() or (overlap > size).any():
            yield f"`{name}` must lie between 0 and {size}"


CORPUS_NEIGHBOURS = Contract(
    "corpus_neighbours",
    1,
    pa.schema(
        [
            DOC_ID,
            SPLIT,
            QUERY_CHUNK,
            field(
                "origin",
                pa.string(),
                "nearest: the passages whose keys are nearest; random: a control, drawn by chance",
            ),
            field("rank", pa.int16(), "0 = nearest; ties go to the passage that stands first in the index"),
            field("source_doc", pa.string(), "document of the passage; never the query's own"),
            field("source_chunk", pa.int32(), "chunk j that the passage begins with", "chunks"),
            field("distance", pa.float32(), "squared Euclidean distance of the two keys"),
            field(
                "query_overlap",
                pa.int32(),
                "longest run of tokens that chunk i and the passage have in common",
                "tokens",
            ),
            field(
                "target_overlap", pa.int32(), "the same of chunk i + 1, which is predicted with it", "tokens"
            ),
            field("token_ids", TOKEN_IDS, "chunk j and chunk j + 1"),
        ]
    ),
    ("doc_id", "query_chunk", "origin", "rank"),
    _check_neighbours,
    facts=("chunk_tokens", "counts", "index"),
)
"""`counts`: split -> origin -> passages a query has; `index`: digest of the index that was searched."""
