"""What a retriever of a small model begins with: the tokens that two chunks share, and how near they are.

A small model has too few updates to learn that, and too narrow states to hold it: the mean of a chunk's
states blurs its tokens, and says nothing of its place (docs/log.md). Learned scores beside lexical ones: Gao
et al. 2020, arXiv 2004.13969. The paper has none of it.
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float, Int

from model.config import LEXICAL_TERMS
from model.shapes import RetrievalVectors

SATURATION = 1.5  # k1 of BM25: a token that stands twice in a chunk counts less than twice
NEARNESS = 0.5  # what a chunk of distance costs, at first


class LexicalStart(nnx.Module):
    """Features of chunks whose inner products are sum over terms t of a_t^2 x_it x_jt + b j, for query i and
    key j.

    x = (k1 + 1) n / (n + k1) for n occurrences in a chunk of m tokens, where k1 is 1.5: BM25 in chunks of
    equal length, with learned weights a^2 in place of idf. Among the chunks of one query b j ranks as -b (i -
    j) does, b chunk for chunk.
    """

    def __init__(self) -> None:
        self.term_scale = nnx.Param(jnp.zeros((LEXICAL_TERMS,)))
        self.nearness_scale = nnx.Param(jnp.zeros((1,)))

    def __call__(self, tokens_BCM: Int[Array, "B C M"]) -> tuple[RetrievalVectors, RetrievalVectors]:
        """Queries and keys; the last feature of a key is its chunk's number, counted from the first chunk
        that is given.
        """
        terms_BCT = self.term_scale[...] * saturated_counts(tokens_BCM)
        column = (*terms_BCT.shape[:2], 1)
        nearness = jnp.broadcast_to(NEARNESS * self.nearness_scale[...], column)
        place = jnp.broadcast_to(jnp.arange(column[1], dtype=jnp.float32)[:, None], column)
        return jnp.concatenate((terms_BCT, nearness), axis=-1), jnp.concatenate((terms_BCT, place), axis=-1)


def saturated_counts(tokens_BCM: Int[Array, "B C M"]) -> Float[Array, "B C T"]:
    """x of every term in every chunk; tokens of one remainder share a term (feature hashing, Weinberger et
    al. 2009, arXiv 0902.2206).
    """
    batch, chunks, _ = tokens_BCM.shape
    row, column = jnp.arange(batch)[:, None, None], jnp.arange(chunks)[:, None]
    counts_BCT = (
        jnp.zeros((batch, chunks, LEXICAL_TERMS)).at[row, column, tokens_BCM % LEXICAL_TERMS].add(1.0)
    )
    return (SATURATION + 1) * counts_BCT / (counts_BCT + SATURATION)
