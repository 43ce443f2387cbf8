"""Block-Recurrent Transformer (Hutchins et al., arXiv 2203.07852): one layer passes a set of state vectors
from block to block.

In the matched form: positions, queries and keys are those of the decoder that all systems share;
official_decoder.py has the published form. A block is a window stride. The gate is the "fixed" one with
"skip": S' = g S + (1 - g) y, without a feed-forward part, which their README recommends.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float

from model.agreement import Text
from model.attention import HeadKeys, attend, with_previous_block
from model.config import ModelConfig
from model.decoder import Block
from model.layers import Linear, RMSNorm
from model.shapes import HiddenStates
from model.sliding_window import Local, Window, WindowAttention

States = Float[Array, "B N D"]
KeysAndValues = tuple[Array, Array]


class Recurrent(NamedTuple):
    """The window and the state vectors after a segment."""

    window: Window
    states_BND: States


class BlockRecurrentAttention(WindowAttention):
    """Tokens attend to their window and, with queries of their own, to the states before their block
    (vertical); the states attend to themselves and to the tokens of their block and the one before
    (horizontal). Keys and values are shared, queries are not.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.remat, width, states = config.remat, config.width, max(1, self.stride // 2)
        self.output = Linear(2 * width, width)
        self.state_query = Linear(width, width)
        self.state_norm = RMSNorm(width)
        self.state_self_query, self.state_cross_query = Linear(width, width), Linear(width, width)
        self.state_key, self.state_value = Linear(width, width), Linear(width, width)
        self.state_output = Linear(2 * width, width)
        self.gate_bias = nnx.Param(jnp.zeros(width))
        self.initial_state, self.state_positions = (
            nnx.Param(jnp.zeros((states, width))),
            nnx.Param(jnp.zeros((states, width))),
        )

    def start(self, rows: int) -> Recurrent:
        """The learned initial state."""
        first = self.initial_state[...].astype(jnp.float32)
        return Recurrent(self.empty_window(rows), jnp.broadcast_to(first, (rows, *first.shape)))

    def __call__(
        self,
        x: HiddenStates,
        past: Recurrent | None = None,
        key: Array | None = None,
        text_BT: Text | None = None,
    ) -> tuple[HiddenStates, Recurrent]:
        """The update of the residual stream, and window and states after the segment. Tokens read the states
        before their block.
        """
        past = self.start(len(x)) if past is None else past
        local = self.attend_locally(x, past.window, key, text_BT)
        states_BND, before = self._advance(local, past)
        read = self._read_states(self._queries_of_states(x), before)
        return self.merge(jnp.concatenate((local.mixed_BLHK, read), axis=-2)), Recurrent(
            local.window, states_BND
        )

    def _advance(self, local: Local, past: Recurrent) -> tuple[States, KeysAndValues]:
        """The states after the last of A blocks, and keys and values of those before each, [A, B,
        N, H, K].
        """
        keys = with_previous_block(local.keys_BLHK, self.stride, past.window.keys_BWHK)
        values = with_previous_block(local.values_BLHK, self.stride, past.window.values_BWHK)
        exists_BA = (jnp.arange(keys.shape[1]) > 0) | past.window.exists_B[:, None]
        step = jax.checkpoint(self._step) if self.remat else self._step
        blocks = jnp.moveaxis(keys, 1, 0), jnp.moveaxis(values, 1, 0), exists_BA.T
        return jax.lax.scan(lambda states, block: step(states, *block), past.states_BND, blocks)

    def _step(
        self, states_BND: States, keys: HeadKeys, values: HeadKeys, exists_B: Bool[Array, " B"]
    ) -> tuple[States, KeysAndValues]:
        """The states after one block (horizontal direction), and keys and values of those before it.

        `keys` and `values` are those of the block before, if it exists, and of it.
        """
        normed = (self.state_norm(states_BND) + self.state_positions[...]).astype(keys.dtype)
        own_keys, own_values = self._keys_and_values_of_states(normed)
        to_themselves, to_tokens = self._queries_by_states(normed)
        itself = attend(to_themselves, own_keys, own_values)
        there = exists_B[:, None] | (jnp.arange(keys.shape[1]) >= self.stride)
        tokens = attend(to_tokens, keys, values, there[:, None, None])
        update = self.state_output(jnp.concatenate((itself, tokens), axis=-2).reshape(*normed.shape[:-1], -1))
        gate = jax.nn.sigmoid(self.gate_bias[...])
        return gate * states_BND + (1.0 - gate) * update.astype(jnp.float32), (own_keys, own_values)

    def _queries_of_states(self, x: Array) -> Array:
        """With which tokens read states."""
        return self._split(self.state_query(x))

    def _queries_by_states(self, normed: Array) -> tuple[Array, Array]:
        """With which states read themselves, and tokens."""
        return self._split(self.state_self_query(normed)), self._split(self.state_cross_query(normed))

    def _keys_and_values_of_states(self, normed: Array) -> tuple[Array, Array]:
        """By which states are read, by tokens and by themselves."""
        return self._split(self.state_key(normed)), self._split(self.state_value(normed))

    def _read_states(self, queries: HeadKeys, before: KeysAndValues) -> HeadKeys:
        """What tokens read of the states before their block (vertical direction)."""
        keys, values = (jnp.moveaxis(x, 0, 1).reshape(-1, *x.shape[2:]) for x in before)
        return attend(queries.reshape(len(keys), self.stride, *queries.shape[2:]), keys, values).reshape(
            queries.shape
        )


def block_recurrent_block(config: ModelConfig, layer: int) -> Block:
    """The blocks of a Block-Recurrent Transformer. It has half as many states as a stride has tokens, 512 at
    the paper's size.
    """
    return Block(config, BlockRecurrentAttention(config) if layer == recurrent_layer(config) else None)


def recurrent_layer(config: ModelConfig) -> int:
    """The layer with the states: five sixths up the stack, the 10th of 12."""
    return max(1, 5 * config.layers // 6)
