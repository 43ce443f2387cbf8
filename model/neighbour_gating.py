"""Neighbour gating (paper section 3.1): how much each neighbour counts, given the neighbours of the chunks
before.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float, Int

from model.attention import Attention, attend, with_previous_block
from model.config import ModelConfig
from model.layers import Linear, RMSNorm
from model.masks import band_mask
from model.rotary import rotate
from model.shapes import NeighbourMask

LOWEST_GATE = 0.1  # the paper's eta (footnote 3), which keeps gradient flowing to every neighbour

PooledNeighbours = Float[Array, "B C N D"]
Gates = Float[Array, "B C N"]


class EarlierNeighbours(NamedTuple):
    """What the gate keeps of the last chunks: a key, not turned yet, and a value of each neighbour slot, and
    which slots hold one.
    """

    keys_BTHK: Float[Array, "B T H K"]
    values_BTHK: Float[Array, "B T H K"]
    valid_BT: Bool[Array, "B T"]


class NeighbourGate(nnx.Module):
    """g = eta + (1 - eta) sigmoid(w . p / sqrt(D) + b), p the pooled neighbour after causal attention to
    those before it.

    The paper's max(eta, sigmoid(.)) has no gradient below eta; this form keeps the range and the gradient.
    Attention reaches over the last `gate_window` chunks, in training as in the evaluation of a long document.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.window, self.rate = config.gate_window, config.dropout
        self.attention_norm = RMSNorm(config.width)
        self.attention = Attention(config.width, config.heads)
        self.gate_norm = RMSNorm(config.width)
        self.weight = Linear(config.width, 1, bias=True)

    def __call__(
        self, pooled_BCND: PooledNeighbours, valid_BCN: NeighbourMask, key: Array | None = None
    ) -> Gates:
        return self._gates(
            pooled_BCND + self._attend_to_earlier(self.attention_norm(pooled_BCND), valid_BCN, key)
        )

    def start(self, rows: int, per_chunk: int) -> EarlierNeighbours:
        """No earlier neighbours, at the start of `rows` documents with `per_chunk` neighbour slots."""
        heads = (
            rows,
            self.window * per_chunk,
            self.attention.heads,
            self.attention.query.kernel.shape[1] // self.attention.heads,
        )
        return EarlierNeighbours(jnp.zeros(heads), jnp.zeros(heads), jnp.zeros(heads[:2], bool))

    def roll(
        self, pooled_BCND: PooledNeighbours, valid_BCN: NeighbourMask, past: EarlierNeighbours
    ) -> tuple[Gates, EarlierNeighbours]:
        """The gates of a segment that goes on from `past`, `gate_window` chunks of it, and what the next
        segment goes on from.
        """
        batch, chunks, per_chunk, width = pooled_BCND.shape
        x = self.attention_norm(pooled_BCND).reshape(batch, -1, width)
        own = EarlierNeighbours(*self.attention.keys_and_values(x), valid_BCN.reshape(batch, -1))
        keys, values, valid = (jnp.concatenate(parts, axis=1) for parts in zip(past, own, strict=True))
        positions = _positions(valid)
        queries = rotate(self.attention.queries(x), positions[:, -x.shape[1] :])
        near = band_mask(self.window, chunks, self.window, per_chunk)[None]
        merged = self.attention.merge(_attend_to_valid(queries, rotate(keys, positions), values, near, valid))
        kept = EarlierNeighbours(*(a[:, -self.window * per_chunk :] for a in (keys, values, valid)))
        return self._gates(pooled_BCND + merged.reshape(pooled_BCND.shape)), kept

    def _gates(self, pooled_BCND: PooledNeighbours) -> Gates:
        logits = self.weight(self.gate_norm(pooled_BCND) * pooled_BCND.shape[-1] ** -0.5)[..., 0]
        return LOWEST_GATE + (1.0 - LOWEST_GATE) * jax.nn.sigmoid(logits)

    def _attend_to_earlier(
        self, x_BCND: PooledNeighbours, valid_BCN: NeighbourMask, key: Array | None
    ) -> PooledNeighbours:
        batch, chunks, per_chunk, width = x_BCND.shape
        block_chunks = min(self.window, chunks)
        blocks, size = -(-chunks // block_chunks), block_chunks * per_chunk
        missing = (blocks * block_chunks - chunks) * per_chunk
        x = jnp.pad(x_BCND.reshape(batch, -1, width), ((0, 0), (0, missing), (0, 0)))
        valid = jnp.pad(valid_BCN.reshape(batch, -1), ((0, 0), (0, missing)))
        positions = _positions(valid)
        keys, values = self.attention.keys_and_values(x)
        queries = rotate(self.attention.queries(x), positions)
        keys = rotate(keys, positions)

        def windows(a: Array) -> Array:
            return with_previous_block(a, size).reshape(batch * blocks, 2 * size, *a.shape[2:])

        queries = queries.reshape(-1, size, *queries.shape[2:])
        near = band_mask(block_chunks, block_chunks, self.window, per_chunk)[None]
        out = _attend_to_valid(queries, windows(keys), windows(values), near, windows(valid), self.rate, key)
        merged = self.attention.merge(out.reshape(batch, blocks * size, *out.shape[2:]))
        return merged[:, : chunks * per_chunk].reshape(x_BCND.shape)


class OpenGate(nnx.Module):
    """No gating (Table 4): every neighbour counts in full."""

    def start(self, rows: int, per_chunk: int) -> None:
        """There is nothing to keep."""

    def __call__(
        self, pooled_BCND: PooledNeighbours, valid_BCN: NeighbourMask, key: Array | None = None
    ) -> Gates:
        return jnp.ones(pooled_BCND.shape[:3])

    def roll(self, pooled_BCND: PooledNeighbours, valid_BCN: NeighbourMask, past: None) -> tuple[Gates, None]:
        """The same for a segment."""
        return self(pooled_BCND, valid_BCN), None


def _positions(valid_BT: Bool[Array, "B T"]) -> Int[Array, "B T"]:
    """Entries count only where there is a neighbour."""
    return jnp.maximum(jnp.cumsum(valid_BT, axis=1) - 1, 0)


def _attend_to_valid(
    queries: Array,
    keys: Array,
    values: Array,
    near: Array,
    valid_XT: Array,
    rate: float = 0.0,
    key: Array | None = None,
) -> Array:
    """Attention to the valid ones of the near entries, of which the queries' own are the last.

    An entry always sees itself, so that one without a valid key does not average over keys it must not see.
    """
    size, all_entries = queries.shape[1], keys.shape[1]
    visible = near & (valid_XT[:, None, :] | jnp.eye(size, all_entries, k=all_entries - size, dtype=bool))
    return attend(queries, keys, values, visible[:, None], None, rate, key)
