"""The sizes of chunks that a page states."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ChunkSizes:
    """Tokens a chunk, and chunks of a training sequence and of a window stride."""

    chunk_tokens: int
    sequence_chunks: int
    stride_chunks: int
