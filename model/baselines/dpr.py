"""A dense passage retriever (Karpukhin et al., arXiv 2004.04906) over chunks: the ablation of Table 4 in
which retrieval is learned apart.

Two encoders, from which the score of a chunk for a query is an inner product. They are trained by contrast
alone and never see a language model's loss. DPR takes BERT's [CLS] vector (bert.py). The encoder of this file
starts from nothing and takes the mean over the chunk, as the paper's retriever does (section 3.1), which
finds shared words from the first step on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float, Int

from model.attention import Attention, bidirectional_attention
from model.config import check_heads
from model.initialisation import drawn
from model.layers import Embedding, FeedForward, RMSNorm
from model.parameters import Architecture, Parameters
from model.shapes import Scalar

Chunks = Int[Array, "X M"]
Vectors = Float[Array, "X D"]
Scores = Float[Array, "B P"]


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of an encoder of chunks.

    Raises:
        ValueError: a size is below 1, or the width cannot be shared out among the heads.
    """

    vocabulary_size: int
    width: int
    layers: int
    heads: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"{name} is {value}, must be at least 1: set a positive size")
        check_heads(self.width, self.heads)


class EncoderBlock(nnx.Module):
    """x += bidirectional attention(norm x); x += feed-forward(norm x)."""

    def __init__(self, config: EncoderConfig) -> None:
        self.attention_norm = RMSNorm(config.width)
        self.attention = Attention(config.width, config.heads)
        self.feed_forward_norm = RMSNorm(config.width)
        self.feed_forward = FeedForward(config.width)

    def __call__(self, x_XMD: Array) -> Array:
        x_XMD = x_XMD + bidirectional_attention(self.attention, self.attention_norm(x_XMD))
        return x_XMD + self.feed_forward(self.feed_forward_norm(x_XMD))


class ChunkEncoder(nnx.Module):
    """A chunk's tokens -> its vector: the mean over the last block's states, normed. Chunks do not see each
    other; nothing is dropped.
    """

    def __init__(self, config: EncoderConfig) -> None:
        self.embedding = Embedding(config.vocabulary_size, config.width, "float32")
        self.layers = nnx.List([EncoderBlock(config) for _ in range(config.layers)])
        self.norm = RMSNorm(config.width)

    def __call__(self, tokens_XM: Chunks, key: Array | None = None) -> Vectors:
        x_XMD = self.embedding(tokens_XM)
        for layer in self.layers:
            x_XMD = layer(x_XMD)
        return self.norm(jnp.mean(x_XMD, axis=1, dtype=jnp.float32))


class DualEncoder(nnx.Module):
    """One encoder of query chunks c_q, another of the chunks c_j that may be retrieved; `encoder` makes
    either from its `sizes`.
    """

    def __init__(self, encoder: Callable[[Any], Any], sizes: Any) -> None:
        self.query, self.passage = encoder(sizes), encoder(sizes)


def both_from(encoder: Parameters) -> Parameters:
    """Two encoders that begin with the same values, as DPR's begin as the same BERT; each has arrays of its
    own, which may be donated.
    """
    return {
        f"{side}.{path}": jnp.array(value) for side in ("query", "passage") for path, value in encoder.items()
    }


def first_parameters(config: EncoderConfig, seed: int) -> Parameters:
    """The first values of two encoders of chunks."""
    return both_from(drawn(Architecture.of(ChunkEncoder, config), config.width, jax.random.key(seed)))


def in_batch_scores(queries_BD: Vectors, passages_PD: Vectors, names_P: Int[Array, " P"]) -> Scores:
    """sim(q, p) = q . p (equation 1) of every query with every passage of the batch; passage b is the
    positive of query b.

    A passage with the name of a query's positive says the same and is no negative of it: its score is the
    lowest there is. The official code takes it for one.
    """
    scores = jnp.einsum("bd,pd->bp", queries_BD, passages_PD, precision="highest")
    positive, place = jnp.arange(len(queries_BD))[:, None], jnp.arange(len(passages_PD))
    again = (names_P == names_P[: len(queries_BD), None]) & (place != positive)
    return jnp.where(again, jnp.finfo(scores.dtype).min, scores)


def dpr_loss(scores_BP: Scores) -> Scalar:
    """Mean over the queries of -log softmax over all passages of the batch, at the positive (equation 2)."""
    return jnp.mean(jax.nn.logsumexp(scores_BP, axis=1) - jnp.diagonal(scores_BP))


def accuracy(scores_BP: Scores) -> Scalar:
    """Share of the queries whose positive has the highest score of the batch."""
    return jnp.mean(jnp.argmax(scores_BP, axis=1) == jnp.arange(len(scores_BP)))
