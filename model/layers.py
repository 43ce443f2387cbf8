"""The layers every part of the model is made of. Modules hold parameters as zeros; `initialisation` gives
them their values.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

NORM_EPSILON = 1e-6
FEED_FORWARD_FACTOR = 4  # 8 d^2 multiplications a token in the paper's cost model: two matrices, 4 d wide

Features = Float[Array, "*X D"]


class Linear(nnx.Module):
    """x W, or x W + b. Computed on a flat [rows, inputs] array: XLA's CPU backend is twice as slow on more
    dimensions.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = False) -> None:
        self.kernel = nnx.Param(jnp.zeros((inputs, outputs)))
        self.bias = nnx.Param(jnp.zeros((outputs,))) if bias else None

    def __call__(self, x: Array) -> Array:
        kernel = self.kernel[...].astype(x.dtype)
        product = (x.reshape(-1, x.shape[-1]) @ kernel).reshape(*x.shape[:-1], kernel.shape[1])
        return product if self.bias is None else product + self.bias[...].astype(x.dtype)


class RMSNorm(nnx.Module):
    """x / sqrt(mean(x^2) + 1e-6) * scale, the mean taken in float32."""

    def __init__(self, width: int) -> None:
        self.scale = nnx.Param(jnp.zeros((width,)))

    def __call__(self, x: Features) -> Features:
        wide = x.astype(jnp.float32)
        inverse = jax.lax.rsqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + NORM_EPSILON)
        return (wide * inverse).astype(x.dtype) * self.scale[...].astype(x.dtype)


class FeedForward(nnx.Module):
    """W2 dropout(gelu(W1 x)), without biases; gelu in its tanh form."""

    def __init__(self, width: int) -> None:
        self.expand = Linear(width, FEED_FORWARD_FACTOR * width)
        self.contract = Linear(FEED_FORWARD_FACTOR * width, width)

    def __call__(self, x: Features, rate: float = 0.0, key: Array | None = None) -> Features:
        inner = jax.nn.gelu(self.expand(x), approximate=True)
        return self.contract(dropout(inner, rate, key, shared_axes=(0,)))


class Embedding(nnx.Module):
    """The token embedding, which is also the output matrix (tied). All later activations have its `dtype`."""

    def __init__(self, vocabulary_size: int, width: int, dtype: str) -> None:
        self.dtype = dtype
        self.table = nnx.Param(jnp.zeros((vocabulary_size, width)))

    def __call__(self, tokens: Array) -> Array:
        return jnp.take(self.table[...], tokens, axis=0).astype(self.dtype)


def dropout(x: Array, rate: float, key: Array | None, shared_axes: tuple[int, ...] = ()) -> Array:
    """Zero elements with probability `rate` and scale the rest up; nothing without a key.

    The mask is shared along `shared_axes`, as in the official model, which saves most of its random bits.
    """
    if key is None or rate == 0.0:
        return x
    shape = tuple(1 if axis in shared_axes else size for axis, size in enumerate(x.shape))
    keep = jax.random.bernoulli(key, 1.0 - rate, shape)
    return jnp.where(keep, x / (1.0 - rate), 0.0)


def subkeys(key: Array | None, count: int) -> list[Array | None]:
    """`count` independent keys, or as many `None` where there is no dropout."""
    return [None] * count if key is None else list(jax.random.split(key, count))
