"""The decoder block: pre-norm residual self-attention, chunked cross-attention where the layer has it, feed-forward."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from model.attention import Attention, Window, sliding_window_attention
from model.chunked_cross_attention import ChunkedCrossAttention
from model.config import Shape
from model.layers import FeedForward, RMSNorm, subkeys
from model.neighbour_fusion import FusedNeighbours
from model.shapes import HiddenStates


class Block(nnx.Module):
    """x += attention(norm x); x += cross-attention(norm x, neighbours); x += feed-forward(norm x) (paper Figure 2)."""

    def __init__(self, shape: Shape, cross_attention: bool) -> None:
        self.stride, self.rate = shape.stride_tokens, shape.dropout
        self.attention_norm = RMSNorm(shape.width)
        self.attention = Attention(shape.width, shape.heads)
        self.cross_attention_norm = RMSNorm(shape.width) if cross_attention else None
        self.cross_attention = ChunkedCrossAttention(shape) if cross_attention else None
        self.feed_forward_norm = RMSNorm(shape.width)
        self.feed_forward = FeedForward(shape.width)

    def __call__(self, x: HiddenStates, fused: FusedNeighbours | None = None, key: Array | None = None) -> HiddenStates:
        return self.roll(x, None, fused, key)[0]

    def roll(
        self, x: HiddenStates, past: Window | None, fused: FusedNeighbours | None = None, key: Array | None = None
    ) -> tuple[HiddenStates, Window]:
        """The same for a segment of a document that goes on from `past`; `fused` then holds one more chunk, that before the first.

        The window is what the next segment goes on from.
        """
        attention_key, cross_key, feed_forward_key = subkeys(key, 3)
        attended, window = self._self_attention(self.attention_norm(x), past, attention_key)
        x = x + attended
        if self.cross_attention is not None and self.cross_attention_norm is not None and fused is not None:
            x = x + self.cross_attention(self.cross_attention_norm(x), fused, cross_key, past and past.exists)
        return x + self.feed_forward(self.feed_forward_norm(x), self.rate, feed_forward_key), window

    def _self_attention(self, x: HiddenStates, past: Window | None, key: Array | None) -> tuple[HiddenStates, Window]:
        keys, values = self.attention.keys_and_values(x)
        mixed = sliding_window_attention(self.attention.queries(x), keys, values, self.stride, self.rate, key, past)
        window = Window(keys[:, -self.stride :], values[:, -self.stride :], jnp.ones((), bool))
        return self.attention.merge(mixed), window


class Decoder(nnx.Module):
    """A stack of blocks: layers `first` to `last` of the model, counted from 1, those in `cca_layers` with cross-attention."""

    def __init__(self, shape: Shape, first: int, last: int, cca_layers: tuple[int, ...] = ()) -> None:
        self.remat = shape.remat
        self.layers = nnx.List([Block(shape, layer in cca_layers) for layer in range(first, last + 1)])

    def __call__(self, x: HiddenStates, fused: FusedNeighbours | None = None, key: Array | None = None) -> HiddenStates:
        for block, block_key in zip(self.layers, subkeys(key, len(self.layers)), strict=True):
            x = (jax.checkpoint(block) if self.remat else block)(x, fused, block_key)
        return x

    def roll(
        self, x: HiddenStates, past: tuple[Window, ...], fused: FusedNeighbours | None = None
    ) -> tuple[HiddenStates, tuple[Window, ...]]:
        """The blocks over a segment that goes on from `past`, a window a layer; without dropout."""
        windows = []
        for block, window in zip(self.layers, past, strict=True):
            x, following = block.roll(x, window, fused)
            windows.append(following)
        return x, tuple(windows)
