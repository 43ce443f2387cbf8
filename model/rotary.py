"""Rotary position embedding (Su et al., arXiv 2104.09864) on interleaved pairs (x0, x1), (x2, x3), ..."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

BASE = 10_000.0


def rotate(
    x_XTHK: Float[Array, "*X T H K"], positions_XT: Int[Array, "*#X T"], turned: int | None = None
) -> Float[Array, "*X T H K"]:
    """Turn each pair of features of each head by an angle proportional to the position, so that logits depend
    on differences only.

    With `turned` only the first so many features of a head are turned, as in GPT-NeoX; the others fit each
    other at any distance.
    """
    if turned is not None:
        return jnp.concatenate((rotate(x_XTHK[..., :turned], positions_XT), x_XTHK[..., turned:]), axis=-1)
    head_size = x_XTHK.shape[-1]
    frequencies = BASE ** (-jnp.arange(0, head_size, 2, dtype=jnp.float32) / head_size)
    angles = jnp.asarray(positions_XT, jnp.float32)[..., None, None] * frequencies
    cosine, sine = jnp.cos(angles), jnp.sin(angles)
    even, odd = x_XTHK[..., 0::2], x_XTHK[..., 1::2]
    pairs = jnp.stack((even * cosine - odd * sine, even * sine + odd * cosine), axis=-1)
    return pairs.reshape(x_XTHK.shape).astype(x_XTHK.dtype)
