"""Who sees whom: Boolean masks, True where a query may look at a key or retrieve a chunk."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool

from data_contracts.eligibility import is_eligible
from model.shapes import ChunkPairMask


def two_stride_mask(strides: int, stride: int) -> Bool[Array, "strides W 2*W"]:
    """Keys of the previous stride and of the own one, for every query of every stride.

    All of the previous stride is visible (paper section 3.4) and of the own stride what lies at or before the query; the first
    stride has no previous one.
    """
    query, key = jnp.arange(stride, 2 * stride), jnp.arange(2 * stride)
    return (key <= query[:, None]) & _exists(strides, key, stride)


def band_mask(blocks: int, block_chunks: int, window_chunks: int, per_chunk: int) -> Bool[Array, "blocks A 2*A"]:
    """Keys of the previous block and of the own one that lie in the last `window_chunks` chunks, the query's included.

    A block holds A = block_chunks * per_chunk entries, ordered by chunk, then by rank; within its own chunk a query sees the ranks
    up to its own.
    """
    size = block_chunks * per_chunk
    query, key = jnp.arange(size, 2 * size)[:, None], jnp.arange(2 * size)
    near = (key <= query) & (query // per_chunk - key // per_chunk < window_chunks)
    return near & _exists(blocks, key, size)


def eligible_pairs(chunks: int, stride_chunks: int) -> ChunkPairMask:
    """Whether the row's chunk may retrieve the column's."""
    index = jnp.arange(chunks)
    return is_eligible(index[:, None], index[None, :], stride_chunks)


def _exists(blocks: int, key: Array, size: int) -> Bool[Array, "blocks 1 2*A"]:
    return ((jnp.arange(blocks) > 0)[:, None] | (key >= size))[:, None, :]
