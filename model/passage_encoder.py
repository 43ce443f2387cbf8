"""RETRO's encoder of neighbours (arXiv 2112.04426, section 2.4): bidirectional, and told what the decoder has
read of the query chunk.

The first of its two layers attends to the query chunk, as P_enc = [1] of the paper and Megatron's form say.
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from model.attention import Attention, attend, bidirectional_attention
from model.config import ModelConfig
from model.layers import FeedForward, RMSNorm, subkeys
from model.rotary import rotate
from model.shapes import ChunkStates, NeighbourStates

LAYERS, CONDITIONED = 2, (1,)


class PassageLayer(nnx.Module):
    """z += bidirectional attention(norm z); in some layers z += attention(norm z, norm h); z +=
    feed-forward(norm z).
    """

    def __init__(self, config: ModelConfig, conditioned: bool) -> None:
        self.rate = config.dropout
        self.attention_norm = RMSNorm(config.width)
        self.attention = Attention(config.width, config.heads)
        self.neighbour_norm = RMSNorm(config.width) if conditioned else None
        self.query_chunk_norm = RMSNorm(config.width) if conditioned else None
        self.query_chunk_attention = Attention(config.width, config.heads) if conditioned else None
        self.feed_forward_norm = RMSNorm(config.width)
        self.feed_forward = FeedForward(config.width)

    def __call__(
        self, z_BCNRD: NeighbourStates, hidden_BCMD: ChunkStates, key: Array | None = None
    ) -> NeighbourStates:
        own_key, query_key, feed_forward_key = subkeys(key, 3)
        z_BCNRD = z_BCNRD + bidirectional_attention(
            self.attention, self.attention_norm(z_BCNRD), self.rate, own_key
        )
        if (
            self.neighbour_norm is not None
            and self.query_chunk_norm is not None
            and self.query_chunk_attention is not None
        ):
            normed = self.neighbour_norm(z_BCNRD), self.query_chunk_norm(hidden_BCMD)
            z_BCNRD = z_BCNRD + _to_query_chunk(self.query_chunk_attention, *normed, self.rate, query_key)
        return z_BCNRD + self.feed_forward(self.feed_forward_norm(z_BCNRD), self.rate, feed_forward_key)


class PassageEncoder(nnx.Module):
    """Embedded tokens of each chunk's passages and the states of the chunk -> the states that cross-attention
    reads.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.layers = nnx.List([PassageLayer(config, layer in CONDITIONED) for layer in range(1, LAYERS + 1)])
        self.norm = RMSNorm(config.width)

    def __call__(
        self, embedded_BCNRD: NeighbourStates, hidden_BCMD: ChunkStates, key: Array | None = None
    ) -> NeighbourStates:
        z_BCNRD = embedded_BCNRD
        for layer, layer_key in zip(self.layers, subkeys(key, LAYERS), strict=True):
            z_BCNRD = layer(z_BCNRD, hidden_BCMD, layer_key)
        return self.norm(z_BCNRD)


def _to_query_chunk(
    attention: Attention,
    z_BCNRD: Float[Array, "B C N R D"],
    hidden_BCMD: ChunkStates,
    rate: float,
    key: Array | None,
) -> NeighbourStates:
    """Every token of the passages of a chunk attends to all tokens of the chunk, whose keys are computed once
    for all passages.
    """
    batch, chunks, neighbours, tokens, width = z_BCNRD.shape
    queries = rotate(attention.queries(z_BCNRD), jnp.arange(tokens)).reshape(
        batch * chunks, neighbours * tokens, attention.heads, -1
    )
    keys, values = attention.keys_and_values(hidden_BCMD.reshape(batch * chunks, -1, width))
    out = attend(queries, rotate(keys, jnp.arange(keys.shape[1])), values, rate=rate, key=key)
    return attention.merge(out).reshape(z_BCNRD.shape)
