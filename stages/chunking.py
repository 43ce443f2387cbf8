"""Chunking: token ids -> pieces of `geometry.chunk_tokens`, the unit of retrieval (paper section 3.1)."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from data_contracts.tokens import CHUNKS, TOKENS, list_rows
from stages.parameters import Geometry
from stages.stage import ShardStage
from stages.tokenizer import load_tokenizer


def chunk(tokens: pa.Table, geometry: Geometry, tokenizer: Path) -> pa.Table:
    """Every chunk of every document. The last may be short: it counts for perplexity, but is never a query, target or candidate."""
    decoder = load_tokenizer(tokenizer)
    size = geometry.chunk_tokens
    columns: dict[str, list] = {name: [] for name in CHUNKS.schema.names}
    documents = zip(
        tokens.column("doc_id").to_pylist(), tokens.column("split").to_pylist(), list_rows(tokens.column("token_ids")), strict=True
    )
    for doc_id, split, ids in documents:
        pieces = [ids[begin : begin + size] for begin in range(0, len(ids), size)]
        columns["doc_id"] += [doc_id] * len(pieces)
        columns["split"] += [split] * len(pieces)
        columns["chunk"] += range(len(pieces))
        columns["segment"] += [number // geometry.sequence_chunks for number in range(len(pieces))]
        columns["token_ids"] += pieces
        columns["text"] += decoder.decode_batch([piece.tolist() for piece in pieces], skip_special_tokens=False)
    return CHUNKS.table(columns, chunk_tokens=size, sequence_chunks=geometry.sequence_chunks)


STAGE = ShardStage("chunking", chunk, ("geometry",), (TOKENS,), CHUNKS, "chunks", sides=("tokenizer",))
