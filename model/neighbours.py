"""Which chunks a chunk takes as its neighbours, and the gathering of their states."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from data_contracts.eligibility import last_eligible
from model.shapes import (
    CandidateIds,
    CandidateScores,
    ChunkPairMask,
    ChunkScores,
    ChunkStates,
    NeighbourMask,
    Neighbours,
)

PairStates = Float[Array, "B P R ..."]


def retrievable_pairs(chunks: int, stride_chunks: int) -> int:
    """Pairs (j, j + 1) that some chunk of the sequence may retrieve: j = 0, 1, ...; at least 1, so that no
    array is empty.
    """
    return max(1, last_eligible(chunks - 1, stride_chunks) + 1)


def own_neighbours(scores_BCC: ChunkScores, eligible_CC: ChunkPairMask, neighbours: int) -> Neighbours:
    """R(c_q) of paper section 3.1: the highest-scoring eligible chunks, ties to the earlier one; -1 where
    there are fewer.
    """
    masked = jnp.where(eligible_CC, jax.lax.stop_gradient(scores_BCC), -jnp.inf)
    best, index = jax.lax.top_k(masked, min(neighbours, masked.shape[-1]))
    return _pad(jnp.where(best > -jnp.inf, index, -1), neighbours)


def dense_relevance(
    candidates_BCS: CandidateIds, relevance_BCS: CandidateScores, eligible_CC: ChunkPairMask
) -> ChunkScores:
    """[B, C, C]: max(t, 0) of every pair of chunks; 0 where the pair was not scored or is not eligible."""
    chunks = eligible_CC.shape[0]
    rows = jnp.arange(chunks)[:, None]
    columns = jnp.where(candidates_BCS < 0, chunks, candidates_BCS)

    def scatter(column_CS: Array, t_CS: Array) -> Array:
        return jnp.zeros(eligible_CC.shape, t_CS.dtype).at[rows, column_CS].max(t_CS, mode="drop")

    return jnp.where(eligible_CC, jax.vmap(scatter)(columns, relevance_BCS), 0.0)


def gold_alone(
    scores_BCC: ChunkScores, relevance_BCC: ChunkScores, eligible_CC: ChunkPairMask, neighbours: int
) -> Neighbours:
    """R_pos of paper section 3.2, in decreasing relevance, ties to the earlier chunk; -1 where it has fewer,
    as in the official code.
    """
    best, index = jax.lax.top_k(relevance_BCC, min(neighbours, relevance_BCC.shape[-1]))
    return _pad(jnp.where(best > 0, index, -1), neighbours)


def gold_then_own(
    scores_BCC: ChunkScores, relevance_BCC: ChunkScores, eligible_CC: ChunkPairMask, neighbours: int
) -> Neighbours:
    """`gold_alone`, its empty slots filled by the model's own best; -1 where nothing is left."""
    positive = relevance_BCC > 0
    own_order = jnp.where(eligible_CC, -jax.lax.stop_gradient(scores_BCC), jnp.inf)
    index = jnp.broadcast_to(jnp.arange(positive.shape[-1]), positive.shape)
    keys = (-relevance_BCC, jnp.where(positive, 0.0, own_order), index)
    _, rest, order = jax.lax.sort(keys, num_keys=2, is_stable=True)
    count = min(neighbours, order.shape[-1])
    return _pad(jnp.where(rest[..., :count] < jnp.inf, order[..., :count], -1), neighbours)


def chunk_pairs(chunks_BCMD: ChunkStates, stride_chunks: int) -> PairStates:
    """[B, P, R, D]: each retrievable chunk c_j followed by c_j+1 (paper section 3.1); zeros follow the last
    chunk of the sequence.
    """
    pairs = retrievable_pairs(chunks_BCMD.shape[1], stride_chunks)
    padded = jnp.pad(
        chunks_BCMD[:, : pairs + 1], ((0, 0), (0, max(0, pairs + 1 - chunks_BCMD.shape[1])), (0, 0), (0, 0))
    )
    return jnp.concatenate((padded[:, :pairs], padded[:, 1 : pairs + 1]), axis=2)


def valid_neighbours(neighbours_BCN: Neighbours, pairs: int) -> NeighbourMask:
    """Whether a slot names a chunk that can be retrieved at all."""
    return (neighbours_BCN >= 0) & (neighbours_BCN < pairs)


def gather_pairs(pairs_BPX: Float[Array, "B P ..."], neighbours_BCN: Neighbours) -> Float[Array, "B C N ..."]:
    """The entries of the named pairs; those of an empty slot are those of some pair and must be masked."""
    return jax.vmap(lambda pairs, ids: jnp.take(pairs, ids, axis=0, mode="clip"))(pairs_BPX, neighbours_BCN)


def _pad(ids: Array, neighbours: int) -> Array:
    return jnp.pad(ids, ((0, 0), (0, 0), (0, neighbours - ids.shape[-1])), constant_values=-1)
