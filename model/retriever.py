"""The chunk encoder and the scores of the retriever (paper section 3.1)."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax import Array

from model.attention import Attention, bidirectional_attention
from model.config import ModelConfig
from model.layers import Linear, RMSNorm
from model.shapes import ChunkScores, ChunkStates, ChunkVectors


class RetrieverOutput(NamedTuple):
    """Token states of every chunk, which are the values of a neighbour, and the chunk's query and key."""

    chunks_BCMD: ChunkStates
    queries_BCD: ChunkVectors
    keys_BCD: ChunkVectors


class Retriever(nnx.Module):
    """e = h + bidirectional attention in the chunk; c = mean of e; q = W_Q norm(c) + b_Q; k = W_K norm(c) + b_K."""

    def __init__(self, config: ModelConfig) -> None:
        self.rate = config.dropout
        self.attention_norm = RMSNorm(config.width)
        self.attention = Attention(config.width, config.heads, null_key=True)
        self.query_norm = RMSNorm(config.width)
        self.query_projection = Linear(config.width, config.width, bias=True)
        self.key_norm = RMSNorm(config.width)
        self.key_projection = Linear(config.width, config.width, bias=True)

    def __call__(self, hidden_BCMD: ChunkStates, key: Array | None = None) -> RetrieverOutput:
        chunks_BCMD = hidden_BCMD + bidirectional_attention(self.attention, self.attention_norm(hidden_BCMD), self.rate, key)
        pooled = jnp.mean(chunks_BCMD, axis=2, dtype=jnp.float32)
        return RetrieverOutput(chunks_BCMD, self.query_projection(self.query_norm(pooled)), self.key_projection(self.key_norm(pooled)))


def retrieval_scores(queries_BCD: ChunkVectors, keys_BCD: ChunkVectors) -> ChunkScores:
    """s_q(i, j) = q_i . k_j / sqrt(D), for every pair of chunks: s_q(c) = <W_Q c_q, W_K c> of the paper, divided as in its code."""
    return jnp.einsum("bid,bjd->bij", queries_BCD, keys_BCD, precision="highest") * queries_BCD.shape[-1] ** -0.5
