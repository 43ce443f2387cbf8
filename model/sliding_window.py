"""Sliding-window attention, linear in the sequence: the self-attention of every layer (paper section 3.4)."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from model.agreement import Agreement, Text, windows_of
from model.attention import Attention, HeadKeys, attend, with_previous_block
from model.config import ModelConfig
from model.masks import two_stride_mask
from model.rotary import rotate
from model.shapes import HiddenStates, RowMask


class Window(NamedTuple):
    """Keys and values of the stride before a segment, not turned yet, and whether there is one: at the start
    of a document there is not.
    """

    keys_BWHK: HeadKeys
    values_BWHK: HeadKeys
    exists_B: RowMask


class Local(NamedTuple):
    """Queries, keys and values of a segment, what each head mixed from its window, and the window from which
    the next segment goes on.
    """

    queries_BLHK: HeadKeys
    keys_BLHK: HeadKeys
    values_BLHK: HeadKeys
    mixed_BLHK: HeadKeys
    window: Window


class WindowAttention(Attention):
    """An attention whose tokens attend to their window at least."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.width, config.heads)
        self.stride, self.rate, self.dtype, self.turned = (
            config.stride_tokens,
            config.dropout,
            config.dtype,
            config.turned,
        )
        self.agreement = Agreement(config.heads) if config.copying else None

    def empty_window(self, rows: int) -> Window:
        """The window at the start of `rows` documents: there is nothing before."""
        empty = jnp.zeros((rows, self.stride, self.heads, self.key.kernel.shape[1] // self.heads), self.dtype)
        return Window(empty, empty, jnp.zeros(rows, bool))

    def attend_locally(
        self, x: HiddenStates, past: Window | None, key: Array | None, text_BT: Text | None = None
    ) -> Local:
        """Sliding-window attention over a segment, without the output projection. `text_BT` begins a stride
        before it.
        """
        queries, (keys, values) = self.queries(x), self.keys_and_values(x)
        agreement = None
        if self.agreement is not None:
            assert text_BT is not None, "heads that are told what agrees are given no text"
            agreement = self.agreement(*windows_of(text_BT, self.stride, x.shape[1] // self.stride))
        mixed = sliding_window_attention(
            queries, keys, values, self.stride, self.rate, key, past, self.turned, agreement
        )
        window = Window(keys[:, -self.stride :], values[:, -self.stride :], jnp.ones(len(x), bool))
        return Local(queries, keys, values, mixed, window)


class SlidingWindowAttention(WindowAttention):
    """The self-attention of a layer, with projections."""

    def start(self, rows: int) -> Window:
        """The window at the start of `rows` documents."""
        return self.empty_window(rows)

    def __call__(
        self,
        x: HiddenStates,
        past: Window | None = None,
        key: Array | None = None,
        text_BT: Text | None = None,
    ) -> tuple[HiddenStates, Window]:
        """The update of the residual stream, and the window from which the next segment goes on."""
        local = self.attend_locally(x, past, key, text_BT)
        return self.merge(local.mixed_BLHK), local.window


def sliding_window_attention(
    queries: Float[Array, "B L H K"],
    keys: Float[Array, "B L H K"],
    values: Float[Array, "B L H K"],
    stride: int,
    rate: float = 0.0,
    key: Array | None = None,
    past: Window | None = None,
    turned: int | None = None,
    bias: Float[Array, "X H W 2*W"] | None = None,
) -> Float[Array, "B L H K"]:
    """Causal attention over the own stride and the whole one before it (paper section 3.4); `past` is the one
    before the first.

    Positions are counted inside the two strides, which leaves every difference as it is and keeps the angles
    small in documents of any length.
    """
    batch, length, heads, size = queries.shape
    strides = length // stride
    q = rotate(queries.reshape(batch * strides, stride, heads, size), jnp.arange(stride, 2 * stride), turned)
    two_strides = (batch * strides, 2 * stride, heads, size)
    k = rotate(
        with_previous_block(keys, stride, past and past.keys_BWHK).reshape(two_strides),
        jnp.arange(2 * stride),
        turned,
    )
    v = with_previous_block(values, stride, past and past.values_BWHK).reshape(two_strides)
    mask = two_stride_mask(strides, stride, past.exists_B if past else False)
    visible = jnp.broadcast_to(mask, (batch, *mask.shape[-3:])).reshape(-1, 1, *mask.shape[-2:])
    return attend(q, k, v, visible, rate=rate, key=key, bias=bias).reshape(queries.shape)
