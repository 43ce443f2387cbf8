"""Chunking: token ids -> pieces of `geometry.chunk_tokens`, the unit of retrieval (paper section 3.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from data_contracts.tokens import CHUNKS, TOKENS, list_column, list_rows
from stages.parameters import Geometry
from stages.runner.stage import ShardStage
from stages.tokens.grouping import grouped
from stages.tokens.tokenizer import load_tokenizer

BLOCK_TOKENS = 2**18


@dataclass(frozen=True)
class Span:
    """Consecutive chunks of one document: their tokens, and the number of the first."""

    doc_id: str
    split: str
    first_chunk: int
    token_ids: np.ndarray


def chunk(tokens: pa.Table, geometry: Geometry, tokenizer: Path) -> Iterator[pa.Table]:
    """CHUNKS of every document, in tables of at most `BLOCK_TOKENS` tokens that may begin and end inside a
    document.

    The last chunk of a document may be short: it counts for perplexity, but is never a query, target or
    candidate.
    """
    decoder = load_tokenizer(tokenizer)
    for spans in grouped(
        _spans(tokens, geometry.chunk_tokens), lambda span: len(span.token_ids), BLOCK_TOKENS
    ):
        yield _table(spans, geometry, decoder)


def _spans(tokens: pa.Table, size: int) -> Iterator[Span]:
    step = BLOCK_TOKENS // size * size
    documents = zip(
        tokens.column("doc_id").to_pylist(),
        tokens.column("split").to_pylist(),
        list_rows(tokens.column("token_ids")),
        strict=True,
    )
    for doc_id, split, ids in documents:
        for begin in range(0, len(ids), step):
            yield Span(doc_id, split, begin // size, ids[begin : begin + step])


def _table(spans: list[Span], geometry: Geometry, decoder: Tokenizer) -> pa.Table:
    size = geometry.chunk_tokens
    columns: dict[str, Any] = {name: [] for name in CHUNKS.schema.names}
    for span in spans:
        pieces = [span.token_ids[begin : begin + size] for begin in range(0, len(span.token_ids), size)]
        numbers = range(span.first_chunk, span.first_chunk + len(pieces))
        columns["doc_id"] += [span.doc_id] * len(pieces)
        columns["split"] += [span.split] * len(pieces)
        columns["chunk"] += numbers
        columns["segment"] += [number // geometry.sequence_chunks for number in numbers]
        columns["token_ids"] += pieces
    columns["text"] = decoder.decode_batch(
        [piece.tolist() for piece in columns["token_ids"]], skip_special_tokens=False
    )
    columns["token_ids"] = list_column(columns["token_ids"])
    return CHUNKS.table(columns, chunk_tokens=size, sequence_chunks=geometry.sequence_chunks)


STAGE = ShardStage("chunking", chunk, ("geometry",), (TOKENS,), CHUNKS, "chunks", sides=("tokenizer",))
