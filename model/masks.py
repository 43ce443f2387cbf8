"""Who sees whom: Boolean masks, True where a query may look at a key or retrieve a chunk."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool

from data_contracts.eligibility import is_eligible
from model.shapes import ChunkPairMask


def two_stride_mask(
    strides: int, stride: int, begun: Bool[Array, "*X"] | bool = False
) -> Bool[Array, "*X strides W 2*W"]:
    """Keys of the previous stride and of the own one, for every query of every stride.

    All of the previous stride is visible (paper section 3.4) and of the own stride what lies at or before the
    query; the first stride has a previous one only if the document has `begun` before it.
    """
    query, key = jnp.arange(stride, 2 * stride), jnp.arange(2 * stride)
    exists = (jnp.arange(strides) > 0) | jnp.asarray(begun)[..., None]
    return (key <= query[:, None]) & (exists[..., None, None] | (key >= stride))


def band_mask(
    before_chunks: int, own_chunks: int, window_chunks: int, per_chunk: int
) -> Bool[Array, "A T+A"]:
    """Which of T earlier and A own entries each of the own ones sees: those of the last `window_chunks`
    chunks, its own included.

    There are `per_chunk` entries a chunk, ordered by chunk, then by rank; within its own chunk an entry sees
    the ranks up to its own.
    """
    key = jnp.arange((before_chunks + own_chunks) * per_chunk)
    query = key[before_chunks * per_chunk :, None]
    return (key <= query) & (query // per_chunk - key // per_chunk < window_chunks)


def eligible_pairs(chunks: int, stride_chunks: int) -> ChunkPairMask:
    """Whether the row's chunk may retrieve the column's."""
    index = jnp.arange(chunks)
    return is_eligible(index[:, None], index[None, :], stride_chunks)
