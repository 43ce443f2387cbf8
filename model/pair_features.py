"""What the tokens of two chunks say of each other, for a retriever that learns how much each of it counts.

Labels weigh what inner products of chunk vectors do not hold: tokens of a neighbour's second chunk, runs of
several tokens, the logarithm of a distance (docs/log.md). So these are computed for every pair of chunks from
their tokens, and what they say is summed with weights that begin at zero. The paper has none of it.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float, Int

from model.config import PAIR_FEATURES
from model.shapes import ChunkScores, RetrievalVectors

NOTHING = -1.0  # stands before and after a text
RUNS = (1, 2, 3)
LONGEST = 8
UNITS = (0.01, 0.01, 0.008, 0.008, 0.006, 0.006, 0.1, 0.04)
"""What a weight of 1 counts once, in the order of `pair_features`: a tenth of what a feature differs by among
the chunks of a query of mathematics. So a weight of a few tenths, as far as it gets in 150 updates, moves
scores by the margin of the loss.
"""


class PairWeights(nnx.Module):
    """Adds to queries and keys what scores of pairs are made of: the tokens of a chunk, and after a query's
    the weights, in place of which a key has zeros.
    """

    def __init__(self) -> None:
        self.pair_weights = nnx.Param(jnp.zeros((PAIR_FEATURES,)))

    def __call__(
        self, queries_BCE: RetrievalVectors, keys_BCE: RetrievalVectors, tokens_BCM: Int[Array, "B C M"]
    ) -> tuple[RetrievalVectors, RetrievalVectors]:
        """Both, with M + F features more; token numbers below 2^24 are exact in float32."""
        tokens = tokens_BCM.astype(jnp.float32)
        weights = self.pair_weights[...] / jnp.array(UNITS)
        weights = jnp.broadcast_to(weights, (*tokens.shape[:2], PAIR_FEATURES))
        return (
            jnp.concatenate((queries_BCE, tokens, weights), axis=-1),
            jnp.concatenate((keys_BCE, tokens, jnp.zeros_like(weights)), axis=-1),
        )


def weighed(queries_BCX: Float[Array, "B C X"]) -> ChunkScores:
    """The weighed features of every pair of chunks of whole sequences, of what `PairWeights` adds to
    queries.
    """
    tokens_BCM, weights_F = queries_BCX[..., :-PAIR_FEATURES], queries_BCX[0, 0, -PAIR_FEATURES:]
    chunks = jnp.arange(tokens_BCM.shape[1])

    def of_sequence(tokens_CM: Array) -> Array:
        text_JM = jnp.pad(tokens_CM, ((0, 1), (0, 0)), constant_values=NOTHING)
        return jax.lax.map(lambda i: pair_features(tokens_CM[i], text_JM, i - chunks), chunks)

    features_BCCF = jax.vmap(of_sequence)(tokens_BCM)
    return jnp.einsum("bijf,f->bij", features_BCCF, weights_F, precision="highest")


def weighed_in_text(queries_CX: np.ndarray, first: int, text_JX: np.ndarray, begin: int) -> np.ndarray:
    """[C, J - 1] the same of chunks `first`, `first` + 1, ... and chunks `begin`, `begin` + 1, ... but the
    last, which only follows; what `PairWeights` adds to queries and keys.
    """
    chunk_P, text_JM = begin + np.arange(len(text_JX) - 1), text_JX[:, :-PAIR_FEATURES]
    rows = [
        pair_features(query_X[:-PAIR_FEATURES], text_JM, first + row - chunk_P) @ query_X[-PAIR_FEATURES:]
        for row, query_X in enumerate(queries_CX)
    ]
    return np.stack(rows)


def pair_features(query_M: Any, text_JM: Any, distance_P: Any) -> Any:
    """float32 [P, F]: of the chunk c_i = `query_M` and each pair (c_j, c_j+1) of the J = P + 1 chunks of a
    text. NumPy arrays give NumPy, JAX arrays JAX.

    In this order: for runs of 1, 2 and 3 tokens the share of the places of c_i at which a run ends that also
    ends in c_j, and in c_j+1; how many of the last tokens of c_i, `LONGEST` at most, stand in the pair with
    a token after them; the logarithm of the distance in chunks. Only a run of the first chunk of the text may
    have begun before it without being seen.
    """
    xp, (chunks, size) = text_JM.__array_namespace__(), text_JM.shape
    agrees_MT = query_M[:, None] == text_JM.reshape(-1)
    runs_MT, shares = agrees_MT, []
    for length in RUNS:
        if length > 1:
            runs_MT = agrees_MT & xp.pad(runs_MT[:-1, :-1], ((1, 0), (1, 0)))
        stands_MJ = xp.any(runs_MT.reshape(size, chunks, size), axis=2)
        share_J = xp.mean(stands_MJ.astype(xp.float32), axis=0)
        shares += [share_J[:-1], share_J[1:]]
    ends_JM = _ends(agrees_MT, xp).reshape(chunks, size)
    end_P = xp.maximum(xp.max(ends_JM[:-1], axis=1), xp.max(ends_JM[1:, :-1], axis=1))
    return xp.stack([*shares, end_P, xp.log(xp.maximum(distance_P, 1)).astype(xp.float32)], axis=-1)


def _ends(agrees_MT: Any, xp: Any) -> Any:
    """float32 [T]: how many of the last tokens of the chunk stand up to each token of the text."""
    size, tokens = agrees_MT.shape
    whole_T, ends_T = xp.ones_like(agrees_MT[0]), xp.zeros(tokens, xp.float32)
    for back in range(min(LONGEST, size)):
        whole_T = whole_T & xp.pad(agrees_MT[size - 1 - back][: max(0, tokens - back)], (back, 0))
        ends_T = ends_T + whole_T.astype(xp.float32)
    return ends_T
