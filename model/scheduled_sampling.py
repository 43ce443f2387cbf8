"""Scheduled sampling (paper section 3.4): whether a chunk is taught with gold neighbours or reads those the
model itself retrieves.

A draw is a function of the key, which is that of the seed and the step, and of the number of the sequence in
the batch and of the chunk: the number of devices does not change it.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from model.shapes import ChunkMask, Neighbours, Scalar

Draws = Float[Array, "#B #C"]
"""Uniform in [0, 1), of an axis of one where one draw serves all; 1 and -1 are never and always below a
probability.
"""
Sampling = Callable[[Array, int, int], Draws]


def draw_by_chunk(key: Array, rows: int, chunks: int) -> Draws:
    """A draw for every chunk."""
    return jax.vmap(lambda row: jax.random.uniform(jax.random.fold_in(key, row), (chunks,)))(jnp.arange(rows))


def draw_by_sequence(key: Array, rows: int, chunks: int) -> Draws:
    """One draw for all chunks of a sequence."""
    return jax.vmap(lambda row: jax.random.uniform(jax.random.fold_in(key, row), (1,)))(jnp.arange(rows))


def draw_by_batch(key: Array, rows: int, chunks: int) -> Draws:
    """One draw for the whole batch, as in the official code."""
    return jax.random.uniform(key, (1, 1))


def always_gold(key: Array, rows: int, chunks: int) -> Draws:
    """Only teacher forcing (Table 4): no chunk with labels ever reads what the model retrieved."""
    return jnp.ones((1, 1))


def always_own(key: Array, rows: int, chunks: int) -> Draws:
    """No teacher forcing (Table 4): every chunk reads what the model retrieved, from the first step on."""
    return jnp.full((1, 1), -1.0)


def mix(
    draws_BC: Draws,
    gold_BCN: Neighbours,
    own_BCN: Neighbours,
    own_probability: Scalar | float,
    labelled_BC: ChunkMask,
) -> Neighbours:
    """Each labelled chunk reads its own neighbours where the draw falls below `own_probability`, others
    always.
    """
    use_gold = labelled_BC & (draws_BC >= own_probability)
    return jnp.where(use_gold[..., None], gold_BCN, own_BCN)
