"""The chunk encoder and the scores of the retriever (paper section 3.1)."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax import Array

from model.attention import Attention, bidirectional_attention
from model.config import ModelConfig
from model.layers import Linear, RMSNorm
from model.lexical_start import LexicalStart
from model.pair_features import PairWeights, weighed
from model.shapes import ChunkScores, ChunkStates, RetrievalVectors, TokenIds


class RetrieverOutput(NamedTuple):
    """Token states of every chunk, which are the values of a neighbour, and the chunk's query and key."""

    chunks_BCMD: ChunkStates
    queries_BCE: RetrievalVectors
    keys_BCE: RetrievalVectors


class Retriever(nnx.Module):
    """e = h + bidirectional attention in the chunk; c = mean of e; q = W_Q norm(c) + b_Q; k = W_K norm(c) +
    b_K.

    With `config.lexical_start` both have lexical features beside these, so that scores are sums of two; with
    `config.pair_features` they have tokens and weights beside them, for `chunk_scores`.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.rate = config.dropout
        self.attention_norm = RMSNorm(config.width)
        self.attention = Attention(config.width, config.heads, null_key=True)
        self.query_norm = RMSNorm(config.width)
        self.query_projection = Linear(config.width, config.width, bias=True)
        self.key_norm = RMSNorm(config.width)
        self.key_projection = Linear(config.width, config.width, bias=True)
        self.lexical = LexicalStart() if config.lexical_start else None
        self.pairs = PairWeights() if config.pair_features else None

    def __call__(
        self, hidden_BCMD: ChunkStates, tokens_BL: TokenIds, key: Array | None = None
    ) -> RetrieverOutput:
        chunks_BCMD = hidden_BCMD + bidirectional_attention(
            self.attention, self.attention_norm(hidden_BCMD), self.rate, key
        )
        pooled = jnp.mean(chunks_BCMD, axis=2, dtype=jnp.float32)
        queries, keys = (
            self.query_projection(self.query_norm(pooled)),
            self.key_projection(self.key_norm(pooled)),
        )
        tokens_BCM = tokens_BL.reshape(hidden_BCMD.shape[:3])
        if self.pairs is not None:
            return RetrieverOutput(chunks_BCMD, *self.pairs(queries, keys, tokens_BCM))
        if self.lexical is None:
            return RetrieverOutput(chunks_BCMD, queries, keys)
        # Times sqrt(D), by which all scores are divided; on the query's side alone, so that a chunk's number
        # stays one.
        asked, offered = self.lexical(tokens_BCM)
        asked *= pooled.shape[-1] ** 0.5
        return RetrieverOutput(
            chunks_BCMD, jnp.concatenate((queries, asked), axis=-1), jnp.concatenate((keys, offered), axis=-1)
        )


def chunk_scores(
    queries_BCE: RetrievalVectors, keys_BCE: RetrievalVectors, config: ModelConfig
) -> ChunkScores:
    """s_q(i, j) of every pair of chunks: `retrieval_scores`, and with `config.pair_features` the weighed
    features of the pair.
    """
    if not config.pair_features:
        return retrieval_scores(queries_BCE, keys_BCE, config.width)
    width = config.width
    projected = retrieval_scores(queries_BCE[..., :width], keys_BCE[..., :width], width)
    return projected + weighed(queries_BCE[..., width:])


def retrieval_scores(queries_BCE: RetrievalVectors, keys_BCE: RetrievalVectors, width: int) -> ChunkScores:
    """s_q(i, j) = q_i . k_j / sqrt(D), for every pair of chunks: s_q(c) = <W_Q c_q, W_K c> of the paper,
    divided as in its code.
    """
    return jnp.einsum("bie,bje->bij", queries_BCE, keys_BCE, precision="highest") * width**-0.5
