"""Multi-head attention with an optional learned null key and value."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from model.layers import Linear, dropout
from model.rotary import rotate

HeadQueries = Float[Array, "X Q H K"]
HeadKeys = Float[Array, "X T H K"]
NullPair = tuple[Float[Array, "H K"], Float[Array, "H K"]]


class Attention(nnx.Module):
    """The four projections of an attention and, if asked for, its null key and value."""

    def __init__(self, width: int, heads: int, null_key: bool = False) -> None:
        self.heads = heads
        self.query = Linear(width, width)
        self.key = Linear(width, width)
        self.value = Linear(width, width)
        self.output = Linear(width, width)
        self.null_key = nnx.Param(jnp.zeros((heads, width // heads))) if null_key else None
        self.null_value = nnx.Param(jnp.zeros((heads, width // heads))) if null_key else None

    def queries(self, x: Array) -> Array:
        """[..., D] -> [..., H, K]."""
        return self._split(self.query(x))

    def keys_and_values(self, x: Array) -> tuple[Array, Array]:
        """[..., D] -> two of [..., H, K]."""
        return self._split(self.key(x)), self._split(self.value(x))

    def merge(self, heads_out: Array) -> Array:
        """[..., H, K] -> [..., D], through the output projection."""
        return self.output(heads_out.reshape(*heads_out.shape[:-2], -1))

    def null(self) -> NullPair | None:
        """The learned key and value that a query can fall back on."""
        return (
            None
            if self.null_key is None or self.null_value is None
            else (self.null_key[...], self.null_value[...])
        )

    def _split(self, x: Array) -> Array:
        return x.reshape(*x.shape[:-1], self.heads, -1)


def attend(
    queries: HeadQueries,
    keys: HeadKeys,
    values: HeadKeys,
    visible: Array | None = None,
    null: NullPair | None = None,
    rate: float = 0.0,
    key: Array | None = None,
    bias: Float[Array, "*#X H Q T"] | None = None,
    shared_axes: tuple[int, ...] = (0, 1),
    null_bias: Float[Array, " H"] | None = None,
) -> HeadQueries:
    """softmax(q k / sqrt(K) + bias) v in float32; `visible` broadcasts to [X, H, Q, T] and each query must
    see a key or the null key.

    The null pair is kept out of the arrays of keys, so their sizes stay powers of two; `null_bias` is added
    to its logits. What is dropped is shared along `shared_axes` of [X, H, Q, T].
    """
    scaled = queries * queries.shape[-1] ** -0.5
    logits = jnp.einsum("xqhk,xthk->xhqt", scaled, keys, preferred_element_type=jnp.float32)
    if bias is not None:
        logits = logits + bias
    if visible is not None:
        logits = jnp.where(visible, logits, jnp.finfo(jnp.float32).min)
    highest = jnp.max(logits, axis=-1, keepdims=True)
    if null is None:
        weights = jnp.exp(logits - jax.lax.stop_gradient(highest))
        total, null_part = jnp.sum(weights, axis=-1), jnp.zeros(())
    else:
        null_logits = jnp.einsum("xqhk,hk->xhq", scaled, null[0])[..., None].astype(jnp.float32)
        if null_bias is not None:
            null_logits = null_logits + null_bias[:, None, None]
        highest = jax.lax.stop_gradient(jnp.maximum(highest, null_logits))
        weights, null_weights = jnp.exp(logits - highest), jnp.exp(null_logits - highest)[..., 0]
        total = jnp.sum(weights, axis=-1) + null_weights
        null_part = jnp.moveaxis(null_weights, 1, 2)[..., None] * null[1]
    weights = dropout(weights, rate, key, shared_axes).astype(values.dtype)
    mixed = jnp.einsum("xhqt,xthk->xqhk", weights, values, preferred_element_type=jnp.float32) + null_part
    return (mixed / jnp.moveaxis(total, 1, 2)[..., None]).astype(values.dtype)


def with_previous_block(
    x: Float[Array, "B T ..."], block: int, before: Float[Array, "B block ..."] | None = None
) -> Float[Array, "B T/block 2*block ..."]:
    """Cut the second axis into blocks and put the previous block (`before` or zeros for the first) before
    each.
    """
    blocks = x.reshape(x.shape[0], -1, block, *x.shape[2:])
    previous = jnp.pad(blocks[:, :-1], ((0, 0), (1, 0), *((0, 0),) * (blocks.ndim - 2)))
    if before is not None:
        previous = previous.at[:, 0].set(before)
    return jnp.concatenate((previous, blocks), axis=2)


def bidirectional_attention(
    attention: Attention, x: Array, rate: float = 0.0, key: Array | None = None
) -> Array:
    """Each [T, D] slice of [..., T, D] attends to itself, everywhere to everywhere; positions 0 .. T - 1.
    Projections included.
    """
    flat = x.reshape(-1, *x.shape[-2:])
    positions = jnp.arange(flat.shape[1])
    keys, values = attention.keys_and_values(flat)
    queries = rotate(attention.queries(flat), positions)
    return attention.merge(
        attend(queries, rotate(keys, positions), values, null=attention.null(), rate=rate, key=key)
    ).reshape(x.shape)
