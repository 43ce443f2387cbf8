"""How far the text before two tokens agrees, which is what a head has to know to find what followed the same
words earlier.

A model that is trained for minutes does not find out that what followed the same tokens earlier is likely to
follow again (induction; Olsson et al. 2022, arXiv 2209.11895). Heads that are told where the same n-gram
stood help small models (Akyürek et al. 2024, arXiv 2401.12973, section 6); here they are told in their
logits, in the window and in neighbours, and how much that counts is learned.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float, Int

LONGEST = 3  # tokens that are compared
NOTHING = -1  # stands before the start of a document

Text = Int[Array, "*X T+3"]
"""Token numbers, T of them and the `LONGEST` before."""


class Agreement(nnx.Module):
    """A logit for every token up to `LONGEST` in which the text up to a query's token agrees with the text
    before a key's.

    The first is added where the last token is the same, the second where the last two are, and so on.
    """

    def __init__(self, heads: int) -> None:
        self.match_bias = nnx.Param(jnp.zeros((heads, LONGEST)))

    def __call__(self, queries_XT: Text, keys_XT: Text) -> Float[Array, "X H Q T"]:
        """What to add to the logits of a query and a key."""
        queries, keys = queries_XT.shape[1] - LONGEST, keys_XT.shape[1] - LONGEST
        agrees, bias = jnp.ones((), bool), jnp.zeros(())
        for lag in range(LONGEST):
            query_XQ = queries_XT[:, LONGEST - lag : LONGEST - lag + queries]
            key_XT = keys_XT[:, LONGEST - 1 - lag : LONGEST - 1 - lag + keys]
            agrees &= query_XQ[:, :, None] == key_XT[:, None, :]
            bias += self.match_bias[...][:, lag, None, None] * agrees[:, None]
        return bias


def windows_of(text_BT: Array, stride: int, count: int) -> tuple[Text, Text]:
    """The text of each of `count` strides, and of each with the stride before it, of a text that has `stride`
    + `LONGEST` tokens more.
    """
    starts = np.arange(count)[:, None] * stride
    own, both = starts + stride + np.arange(LONGEST + stride), starts + np.arange(LONGEST + 2 * stride)
    return text_BT[:, own].reshape(-1, own.shape[1]), text_BT[:, both].reshape(-1, both.shape[1])
