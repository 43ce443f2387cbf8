"""Which earlier chunks may be retrieved for a chunk: the one rule that mining, the model and evaluation
share.

Integer arithmetic only, so the same lines serve Python ints, NumPy and JAX arrays. A query chunk `i` lies in
the window stride `i // w` (w = stride in chunks) and its tokens see the whole previous stride. Chunk `j` may
be retrieved if the pair (j, j + 1) ends before that visible stride begins (paper section 3.1; official
inference rule `j < 16 s - 17` at w = 16).
"""

from __future__ import annotations

from typing import Any


def last_eligible(query: Any, stride_chunks: int, start: Any = 0) -> Any:
    """The largest chunk index that may be retrieved for `query`; below `start` where there is none.

    `start` is the first chunk of the retrieval pool (0 for a document, the first chunk of the training
    sequence for a segment).
    """
    return start + stride_chunks * ((query - start) // stride_chunks - 1) - 2


def first_query(stride_chunks: int) -> int:
    """The first chunk of a pool for which anything may be retrieved."""
    return stride_chunks * (1 - (-2 // stride_chunks))


def is_eligible(query: Any, candidate: Any, stride_chunks: int, start: Any = 0) -> Any:
    """Whether `candidate` may be retrieved for `query`; broadcasts over arrays."""
    return (candidate >= start) & (candidate <= last_eligible(query, stride_chunks, start))
