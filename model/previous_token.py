"""What small models are told of the token before each token, which large ones find out in their first layers."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from model.layers import Linear
from model.shapes import HiddenStates

LastEmbedding = Float[Array, "B D"]


class PreviousToken(nnx.Module):
    """x_t + W x_t-1. A head that compares x_t here with W x_t-1 there finds what followed the same token, in one layer instead of two.

    This is the previous-token head of an induction circuit (Olsson et al. 2022, arXiv 2209.11895), given rather than learned.
    """

    def __init__(self, width: int) -> None:
        self.carry = Linear(width, width)

    def __call__(self, embedded_BLD: HiddenStates, before_BD: LastEmbedding | None = None) -> HiddenStates:
        """The segment's embeddings with those of the tokens before them; `before_BD` is that of the last token of the segment before.

        Nothing is before the first token of a document, nor of a sequence that is trained on its own.
        """
        first_B1D = jnp.zeros_like(embedded_BLD[:, :1]) if before_BD is None else before_BD[:, None].astype(embedded_BLD.dtype)
        return embedded_BLD + self.carry(jnp.concatenate((first_B1D, embedded_BLD[:, :-1]), axis=1))
