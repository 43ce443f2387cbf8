"""Neighbour gating (paper section 3.1): how much each neighbour counts, given the neighbours of the chunks before."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from model.attention import Attention, attend, with_previous_block
from model.config import Shape
from model.layers import Linear, RMSNorm
from model.masks import band_mask
from model.rotary import rotate
from model.shapes import NeighbourMask

LOWEST_GATE = 0.1  # the paper's eta (footnote 3), which keeps gradient flowing to every neighbour

PooledNeighbours = Float[Array, "B C N D"]
Gates = Float[Array, "B C N"]


class NeighbourGate(nnx.Module):
    """g = eta + (1 - eta) sigmoid(w . p / sqrt(D) + b), p the pooled neighbour after causal attention to those before it.

    The paper's max(eta, sigmoid(.)) has no gradient below eta; this form keeps the range and the gradient. Attention reaches
    over the last `gate_window` chunks, in training as in the evaluation of a long document.
    """

    def __init__(self, shape: Shape) -> None:
        self.window, self.rate = shape.gate_window, shape.dropout
        self.attention_norm = RMSNorm(shape.width)
        self.attention = Attention(shape.width, shape.heads)
        self.gate_norm = RMSNorm(shape.width)
        self.weight = Linear(shape.width, 1, bias=True)

    def __call__(self, pooled_BCND: PooledNeighbours, valid_BCN: NeighbourMask, key: Array | None = None) -> Gates:
        pooled_BCND = pooled_BCND + self._attend_to_earlier(self.attention_norm(pooled_BCND), valid_BCN, key)
        logits = self.weight(self.gate_norm(pooled_BCND) * pooled_BCND.shape[-1] ** -0.5)[..., 0]
        return LOWEST_GATE + (1.0 - LOWEST_GATE) * jax.nn.sigmoid(logits)

    def _attend_to_earlier(self, x_BCND: PooledNeighbours, valid_BCN: NeighbourMask, key: Array | None) -> PooledNeighbours:
        batch, chunks, per_chunk, width = x_BCND.shape
        block_chunks = min(self.window, chunks)
        blocks, size = -(-chunks // block_chunks), block_chunks * per_chunk
        missing = (blocks * block_chunks - chunks) * per_chunk
        x = jnp.pad(x_BCND.reshape(batch, -1, width), ((0, 0), (0, missing), (0, 0)))
        valid = jnp.pad(valid_BCN.reshape(batch, -1), ((0, 0), (0, missing)))
        positions = jnp.maximum(jnp.cumsum(valid, axis=1) - 1, 0)
        keys, values = self.attention.keys_and_values(x)
        queries = rotate(self.attention.queries(x), positions)
        keys = rotate(keys, positions)

        def windows(a: Array) -> Array:
            return with_previous_block(a, size).reshape(batch * blocks, 2 * size, *a.shape[2:])

        # An entry always sees itself, so that one without a valid key does not average over keys it must not see.
        visible = jnp.tile(band_mask(blocks, block_chunks, self.window, per_chunk), (batch, 1, 1))
        visible &= windows(valid)[:, None, :] | jnp.eye(size, 2 * size, k=size, dtype=bool)
        out = attend(queries.reshape(-1, size, *queries.shape[2:]), windows(keys), windows(values), visible[:, None], None, self.rate, key)
        merged = self.attention.merge(out.reshape(batch, blocks * size, *out.shape[2:]))
        return merged[:, : chunks * per_chunk].reshape(x_BCND.shape)
