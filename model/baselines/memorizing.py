"""Memorizing Transformer (Wu et al., arXiv 2203.08913): one layer also attends to the nearest of many
thousand earlier tokens.

In the matched form: positions, queries and keys are those of the decoder that all systems share;
official_decoder.py has the published form. A segment is a window stride, in training as in evaluation: each
reads the memory as it was before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float, Int

from model.agreement import Text
from model.attention import HeadKeys
from model.config import ModelConfig
from model.decoder import Block
from model.shapes import HiddenStates
from model.sliding_window import Window, WindowAttention

RETRIEVED = 128  # tokens a query reads, in each head (section 4 of that paper)

Search = Callable[[Float[Array, "B H W T"], int], Int[Array, "B H W E"]]
"""(scores, count) -> the places of the `count` highest in the last axis."""


class Remembered(NamedTuple):
    """The window, and keys (not turned) and values of the last T tokens of each document, of which only the
    last `held_B` are there.
    """

    window: Window
    keys_BTHK: HeadKeys
    values_BTHK: HeadKeys
    held_B: Int[Array, " B"]


class MemorizingAttention(WindowAttention):
    """(1 - g) local attention + g attention to the retrieved tokens, g = sigmoid(b) of each head: two
    softmaxes (equation 1 of the paper).

    No gradient reaches what is in the memory. Where it is empty, g is 0. `strides` is its size in window
    strides.
    """

    def __init__(self, config: ModelConfig, strides: int, search: Search) -> None:
        super().__init__(config)
        self.capacity, self.remat, self.search = strides * self.stride, config.remat, search
        self.memory_bias = nnx.Param(jnp.zeros(config.heads))

    def start(self, rows: int) -> Remembered:
        """Nothing is remembered of `rows` documents."""
        window = self.empty_window(rows)
        empty = jnp.zeros((rows, self.capacity, *window.keys_BWHK.shape[2:]), self.dtype)
        return Remembered(window, empty, empty, jnp.zeros(rows, jnp.int32))

    def __call__(
        self,
        x: HiddenStates,
        past: Remembered | None = None,
        key: Array | None = None,
        text_BT: Text | None = None,
    ) -> tuple[HiddenStates, Remembered]:
        """The update of the residual stream, and what is remembered after the segment."""
        past = self.start(len(x)) if past is None else past
        local = self.attend_locally(x, past.window, key, text_BT)
        keys_BTHK = jnp.concatenate((past.keys_BTHK, jax.lax.stop_gradient(local.keys_BLHK)), axis=1)
        values_BTHK = jnp.concatenate((past.values_BTHK, jax.lax.stop_gradient(local.values_BLHK)), axis=1)
        there = jnp.arange(keys_BTHK.shape[1]) >= self.capacity - past.held_B[:, None]
        distant, found = self._attend_to_memory(local.queries_BLHK, keys_BTHK, values_BTHK, there)
        gate = self._gate(found)[..., None]
        mixed = (1.0 - gate) * local.mixed_BLHK + gate * distant
        held_B = jnp.minimum(past.held_B + x.shape[1], self.capacity)
        recent = keys_BTHK[:, -self.capacity :], values_BTHK[:, -self.capacity :]
        return self.merge(mixed.astype(x.dtype)), Remembered(local.window, *recent, held_B)

    def _attend_to_memory(
        self, queries: HeadKeys, keys_BTHK: HeadKeys, values_BTHK: HeadKeys, there_BT: Bool[Array, "B T"]
    ) -> tuple[Array, Array]:
        """[B, L, H, K] what each query reads of the `capacity` tokens before its stride, and [B, L, 1]
        whether there are any.

        Where to look is decided without gradient and by one product with the memory; only what is found is
        multiplied again.
        """
        batch, _, heads, size = queries.shape
        strides = jnp.moveaxis(queries.reshape(batch, -1, self.stride, heads, size), 1, 0) * size**-0.5

        def memory(number: Array, x: Array) -> Array:
            return jax.lax.dynamic_slice_in_dim(x, number * self.stride, self.capacity, axis=1)

        def find(stride: tuple[Array, Array]) -> Array:
            number, queries_BWHK = jax.lax.stop_gradient(stride)
            scores = jnp.einsum(
                "bwhk,bthk->bhwt", queries_BWHK, memory(number, keys_BTHK), preferred_element_type=jnp.float32
            )
            scores = jnp.where(memory(number, there_BT)[:, None, None], scores, -jnp.inf)
            return self.search(scores, min(RETRIEVED, self.capacity))

        def read(stride: tuple[Array, Array, Array]) -> Array:
            number, queries_BWHK, places_BHWE = stride
            near_keys, near_values = (
                _gather(memory(number, x), places_BHWE) for x in (keys_BTHK, values_BTHK)
            )
            logits = jnp.einsum(
                "bwhk,bhwek->bhwe", queries_BWHK, near_keys, preferred_element_type=jnp.float32
            )
            held = jax.vmap(lambda row, places: row[places])(memory(number, there_BT), places_BHWE)
            weights = self._weights(logits, held).astype(near_values.dtype)
            return jnp.einsum("bhwe,bhwek->bwhk", weights, near_values, preferred_element_type=jnp.float32)

        numbers = jnp.arange(len(strides))
        places = jax.lax.map(find, (numbers, strides))
        distant = jax.lax.map(jax.checkpoint(read) if self.remat else read, (numbers, strides, places))
        found = jax.lax.map(lambda number: jnp.any(memory(number, there_BT), axis=1), numbers)
        return (
            jnp.moveaxis(distant, 0, 1).reshape(queries.shape),
            jnp.repeat(found.T, self.stride, axis=1)[..., None],
        )

    def _weights(self, logits: Array, held: Array) -> Array:
        """Softmax over the entries that were found, of which those that are not there have none."""
        return jax.nn.softmax(jnp.where(held, logits, jnp.finfo(jnp.float32).min), axis=-1)

    def _gate(self, found: Array) -> Array:
        """g of each head, 0 where there is nothing to be found."""
        return jnp.where(found, jax.nn.sigmoid(self.memory_bias[...]), 0.0)


def exact(scores: Float[Array, "B H W T"], count: int) -> Int[Array, "B H W E"]:
    """The highest, ties to the earlier one."""
    return jax.lax.top_k(scores, count)[1]


def bucketed(scores: Float[Array, "B H W T"], count: int) -> Int[Array, "B H W E"]:
    """The highest of each of `count` interleaved buckets, as in the official code: the very highest is among
    them, others may not be.

    Ties go to the earlier one, where that code takes their mean.
    """
    full = jnp.pad(
        scores, (*((0, 0),) * (scores.ndim - 1), (0, -scores.shape[-1] % count)), constant_values=-jnp.inf
    )
    best = jnp.argmax(full.reshape(*scores.shape[:-1], -1, count), axis=-2)
    return best * count + jnp.arange(count)


def memorizing_block(config: ModelConfig, layer: int, strides: int, search: Search = exact) -> Block:
    """The blocks of a Memorizing Transformer, one of which has a memory of so many strides."""
    return Block(
        config, MemorizingAttention(config, strides, search) if layer == memory_layer(config) else None
    )


def memory_layer(config: ModelConfig) -> int:
    """The layer with the memory: three quarters up the stack, the 9th of 12."""
    return 3 * config.layers // 4


def _gather(x_BTHK: Array, places_BHWE: Array) -> Array:
    """[B, H, W, E, K] the entries of each head at its places."""
    return jax.vmap(jax.vmap(lambda x_TK, places_WE: x_TK[places_WE]))(
        jnp.moveaxis(x_BTHK, 2, 1), places_BHWE
    )
