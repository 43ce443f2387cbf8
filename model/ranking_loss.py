"""The retriever's loss: LambdaRank with a margin (Burges 2006; paper section 3.3), positives against every
eligible chunk.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array

from model.shapes import CandidateIds, ChunkMask, ChunkPairMask, ChunkScores, Scalar

HIGHEST_RELEVANCE = 8.0  # nats per token; 2^t of a sum of 128 nats would overflow float32
LEAST_IDEAL_GAIN = 1e-3


def ranking_loss(
    scores_BCC: ChunkScores,
    candidates_BCS: CandidateIds,
    relevance_BCC: ChunkScores,
    eligible_CC: ChunkPairMask,
    labelled_BC: ChunkMask,
    margin: Scalar | float,
) -> Scalar:
    """L_ret: sum over labelled queries of the whole batch and pairs (l, j) of lambda_lj max(0, margin - (s_l
    - s_j)).

    l runs over the S scored candidates with t > 0, j over every eligible chunk of smaller t; unscored chunks
    have t = 0. lambda_lj = |G_l - G_j| |1 / D_l - 1 / D_j| / IDCG with G = 2^min(t, 8) - 1 and D = log2(2 +
    rank), ranks being those of the model's scores among eligible chunks. Neither ranks nor gains carry a
    gradient. 0 without labelled queries.
    """
    gains = gain(relevance_BCC)
    discounts = 1.0 / jnp.log2(2.0 + ranks(scores_BCC, eligible_CC))
    slots = jnp.maximum(candidates_BCS, 0)

    def at_candidates(x_BCC: Array) -> Array:
        return jnp.take_along_axis(x_BCC, slots, axis=2)

    gain_l = jnp.where(candidates_BCS >= 0, at_candidates(gains), 0.0)
    valid = (gain_l[..., None] > gains[:, :, None, :]) & eligible_CC[None, :, None, :]
    weight = (gain_l[..., None] - gains[:, :, None, :]) * jnp.abs(
        at_candidates(discounts)[..., None] - discounts[:, :, None, :]
    )
    weight = jnp.where(valid, weight / ideal_gain(gain_l)[..., None, None], 0.0)
    shortfall = jnp.maximum(0.0, margin - (at_candidates(scores_BCC)[..., None] - scores_BCC[:, :, None, :]))
    return jnp.sum(jax.lax.stop_gradient(weight) * shortfall, where=labelled_BC[..., None, None])


def per_query(total: Scalar, queries: Scalar | float) -> Scalar:
    """The sum over the labelled queries of the whole batch: alpha_ret means the same for any batch and
    length.
    """
    return total / jnp.maximum(queries, 1)


def as_sum(total: Scalar, queries: Scalar | float) -> Scalar:
    """The sum itself (paper section 3.3), to which the paper's alpha_ret of 1e-9 belongs."""
    return total


def gain(relevance: Array) -> Array:
    """2^min(max(t, 0), 8) - 1, exact for small t."""
    return jnp.expm1(math.log(2.0) * jnp.clip(relevance, 0.0, HIGHEST_RELEVANCE))


def ranks(scores_BCC: ChunkScores, eligible_CC: ChunkPairMask) -> ChunkScores:
    """Rank of every chunk by its score among the eligible ones, from 0, ties to the earlier chunk; ineligible
    ones come last.
    """
    descending = jnp.where(eligible_CC, -jax.lax.stop_gradient(scores_BCC), jnp.inf)
    return jnp.argsort(jnp.argsort(descending, axis=-1), axis=-1).astype(jnp.float32)


def ideal_gain(gain_BCS: Array) -> Array:
    """[B, C]: the discounted cumulative gain of the best possible order, at least 1e-3."""
    best_first = -jnp.sort(-gain_BCS, axis=-1)
    return jnp.maximum(
        jnp.sum(best_first / jnp.log2(2.0 + jnp.arange(gain_BCS.shape[-1])), axis=-1), LEAST_IDEAL_GAIN
    )


def recall_at(
    k: int,
    scores_BCC: ChunkScores,
    relevance_BCC: ChunkScores,
    eligible_CC: ChunkPairMask,
    answered: Scalar | float,
) -> Scalar:
    """Share of a query's positive chunks among its k best, averaged over the queries that have a positive,
    `answered` in the whole batch; 0 if none has.
    """
    positive = relevance_BCC > 0
    found = jnp.sum(positive & (ranks(scores_BCC, eligible_CC) < k), axis=-1)
    return jnp.sum(found / jnp.maximum(jnp.sum(positive, axis=-1), 1)) / jnp.maximum(answered, 1)
