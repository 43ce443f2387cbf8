"""The decoder block: pre-norm residual self-attention, chunked cross-attention where the layer has it,
feed-forward.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from model.agreement import Text
from model.chunked_cross_attention import ChunkedCrossAttention
from model.config import ModelConfig
from model.layers import FeedForward, RMSNorm, subkeys
from model.neighbour_fusion import FusedNeighbours
from model.shapes import HiddenStates, RowMask
from model.sliding_window import SlidingWindowAttention

State = Any
"""What a layer keeps of its documents from segment to segment: a tree of arrays [B, ...]."""


class Mixer(Protocol):
    """What moves information between the tokens of a layer."""

    def start(self, rows: int) -> State:
        """The state at the start of `rows` documents."""

    def __call__(
        self,
        x: HiddenStates,
        past: State | None = None,
        key: Array | None = None,
        text_BT: Text | None = None,
    ) -> tuple[HiddenStates, State]:
        """The update of the residual stream of a segment that goes on from `past`, and the state after it.
        Without one, it is the start.

        `text_BT` is the segment's text and that of the stride before it, of models that are told what agrees
        (model/agreement.py).
        """


class Block(nnx.Module):
    """x += attention(norm x); x += cross-attention(norm x, neighbours); x += feed-forward(norm x) (paper
    Figure 2).
    """

    def __init__(
        self, config: ModelConfig, attention: Mixer | None = None, cross_attention: bool = False
    ) -> None:
        self.rate = config.dropout
        self.attention_norm = RMSNorm(config.width)
        self.attention = SlidingWindowAttention(config) if attention is None else attention
        self.cross_attention_norm = RMSNorm(config.width) if cross_attention else None
        self.cross_attention = ChunkedCrossAttention(config) if cross_attention else None
        self.feed_forward_norm = RMSNorm(config.width)
        self.feed_forward = FeedForward(config.width)

    def start(self, rows: int) -> State:
        """The state at the start of `rows` documents."""
        return self.attention.start(rows)

    def __call__(
        self,
        x: HiddenStates,
        past: State | None = None,
        fused: FusedNeighbours | None = None,
        key: Array | None = None,
        text_BT: Text | None = None,
    ) -> tuple[HiddenStates, State]:
        """The residual stream after the layer, and the state after the segment.

        With a past, `fused` holds one more chunk, that before the segment.
        """
        attention_key, cross_key, feed_forward_key = subkeys(key, 3)
        x, following = self.attend(x, past, attention_key, text_BT)
        return self.after_attention(x, past, fused, cross_key, feed_forward_key, text_BT), following

    def attend(
        self, x: HiddenStates, past: State | None, key: Array | None, text_BT: Text | None = None
    ) -> tuple[HiddenStates, State]:
        """Self-attention alone: the residual stream after it, and the state after the segment."""
        attended, following = self.attention(self.attention_norm(x), past, key, text_BT)
        return x + attended, following

    def after_attention(
        self,
        x: HiddenStates,
        past: State | None,
        fused: FusedNeighbours | None,
        cross_key: Array | None = None,
        feed_forward_key: Array | None = None,
        text_BT: Text | None = None,
    ) -> HiddenStates:
        """What comes after it: cross-attention where the layer has it, then feed-forward."""
        if self.cross_attention is not None and self.cross_attention_norm is not None and fused is not None:
            x = x + self.cross_attention(
                self.cross_attention_norm(x), fused, cross_key, past and past.exists_B, text_BT
            )
        return x + self.feed_forward(self.feed_forward_norm(x), self.rate, feed_forward_key)


BlockOf = Callable[[int], Block]
"""Number of a layer, from 1 -> its block."""


class Decoder(nnx.Module):
    """A stack of blocks: layers `first` to `last` of the model.

    Where activations are computed again (`ModelConfig.remat`), layers that follow each other and differ in
    their parameters alone are one loop: a program is compiled once for all of them. A loop that keeps
    activations keeps more of them than the same layers written out.
    """

    def __init__(self, config: ModelConfig, block: BlockOf, first: int, last: int) -> None:
        self.remat = config.remat
        self.layers = nnx.List([block(layer) for layer in range(first, last + 1)])

    def start(self, rows: int) -> tuple[State, ...]:
        """The states of all layers at the start of `rows` documents."""
        return tuple(block.start(rows) for block in self.layers)

    def __call__(
        self,
        x: HiddenStates,
        past: tuple[State, ...] | None = None,
        fused: FusedNeighbours | None = None,
        key: Array | None = None,
        text_BT: Text | None = None,
    ) -> tuple[HiddenStates, tuple[State, ...]]:
        """The blocks over a segment that goes on from `past`, a state a layer; without one, over the start of
        documents.
        """
        count = len(self.layers)
        layers = list(zip(self.layers, past or (None,) * count, subkeys(key, count), strict=True))
        if self.remat:
            return _again(layers, x, fused, text_BT)
        states = []
        for block, state, block_key in layers:
            x, following = block(x, state, fused, block_key, text_BT)
            states.append(following)
        return x, tuple(states)


Layer = tuple[Block, State, Array | None]
"""A block, the state that it goes on from, and the key of its dropout."""


def _again(
    layers: list[Layer], x: HiddenStates, fused: FusedNeighbours | None, text_BT: Text | None
) -> tuple[HiddenStates, tuple[State, ...]]:
    """The layers, of which only what goes in is kept for the backward pass; equal ones as a loop over their
    parameters.
    """
    split = [(*nnx.split(block), state, key) for block, state, key in layers]
    states: list[State] = []
    for graph, equal in itertools.groupby(split, lambda layer: layer[0]):

        @jax.checkpoint
        def step(
            x: HiddenStates, layer: tuple, graph: nnx.GraphDef[Block] = graph
        ) -> tuple[HiddenStates, State]:
            parameters, past, key = layer
            return nnx.merge(graph, parameters)(x, past, fused, key, text_BT)

        each = [layer[1:] for layer in equal]
        x, following = jax.lax.scan(step, x, jax.tree.map(lambda *values: jnp.stack(values), *each))
        states += [
            jax.tree.map(lambda values, place=place: values[place], following) for place in range(len(each))
        ]
    return x, tuple(states)


def restart(past: State, start: State, starts_B: RowMask) -> State:
    """The states of a batch, those of the rows in which a document starts as at its start."""
    return jax.tree.map(
        lambda old, new: jnp.where(starts_B.reshape(-1, *(1,) * (old.ndim - 1)), new, old), past, start
    )
