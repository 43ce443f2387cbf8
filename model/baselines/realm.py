"""REALM (Guu et al., arXiv 2002.08909): a masked language model that reads what it retrieves, and learns from
reading what to retrieve.

A query x is a text with a span masked, y the span, z a passage of the corpus. An embedder f gives p(z | x) =
softmax over z of f(x) . f(z), the same f for both (section 3.1), and a reader gives p(y | x, z) from [CLS] x
[SEP] z. What is maximised is p(y | x) = sum over z of p(y | x, z) p(z | x) (equation 1), for each masked
token by itself, as the official code has it (realm/model.py of google-research/language). The sum runs over a
few candidates, of which the first is the null document, an empty text. p(z | x) is always that of the weights
of now: an index of older weights decides no more than which passages are candidates.

B queries, N candidates of each, A masked tokens of each, T tokens of a text, R of what is read, E the width
of f, X any rows.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float, Int

from model.baselines.bert import Bert, BertEncoder, LayerNorm, WordPieces
from model.baselines.bert_config import BertConfig
from model.initialisation import SCALE
from model.layers import Linear, subkeys
from model.parameters import Architecture, Parameters
from model.shapes import Scalar

# what the reader's last layer adds of a token that all of its attention is on, in normed states
HANDED_ON = 8.0

Vectors = Float[Array, "X E"]
CandidateScores = Float[Array, "B N"]
AnswerLogProbabilities = Float[Array, "B N A"]
Distributions = Float[Array, "B N A V"]
Marginals = Float[Array, "B A"]


@dataclass(frozen=True)
class RealmConfig:
    """One BERT, of which embedder and reader each have their own, and the width of the vectors (official
    code: 128).
    """

    bert: BertConfig
    vector: int


class Batch(NamedTuple):
    """What one update reads. `queries_BT` and `passages_BNT` are for the embedder, `read_BNR` with its types
    for the reader; `places_BA` says where in `read_BNR` the masks are, which is the same for all candidates,
    and `weights_BA` is 0 where a query has fewer than A.
    """

    queries_BT: Int[Array, "B T"]
    passages_BNT: Int[Array, "B N T"]
    read_BNR: Int[Array, "B N R"]
    types_BNR: Int[Array, "B N R"]
    places_BA: Int[Array, "B A"]
    answers_BA: Int[Array, "B A"]
    weights_BA: Float[Array, "B A"]


class Outcome(NamedTuple):
    """Logarithms: of p(z | x), of p(y | x, z), and of their sum over z, p(y | x), for each masked token."""

    prior_BN: CandidateScores
    given_BNA: AnswerLogProbabilities
    marginal_BA: Marginals


class Embedder(nnx.Module):
    """f: the state of [CLS] through a linear layer."""

    def __init__(self, config: RealmConfig) -> None:
        self.bert = BertEncoder(config.bert)
        self.projection = Linear(config.bert.hidden_size, config.vector, bias=True)

    def __call__(self, pieces_XT: WordPieces, key: Array | None = None) -> Vectors:
        """Rows `[CLS] text [SEP]`, padded at the end."""
        return self.projection(self.bert(pieces_XT, key))


class Reader(nnx.Module):
    """A masked language model with BERT's head: linear, gelu, norm, then the table of words and a bias."""

    def __init__(self, config: RealmConfig) -> None:
        width = config.bert.hidden_size
        self.bert = Bert(config.bert)
        self.transform, self.norm = (
            Linear(width, width, bias=True),
            LayerNorm(width, config.bert.layer_norm_eps),
        )
        self.output_bias = nnx.Param(jnp.zeros(config.bert.vocab_size))

    def __call__(
        self,
        pieces_XR: WordPieces,
        types_XR: WordPieces,
        places_XA: Int[Array, "X A"],
        key: Array | None = None,
    ) -> Float[Array, "X A V"]:
        """log p(token) at each of the places of rows `[CLS] x [SEP] z [SEP]`, padded at the end."""
        states_XRD = self.bert(pieces_XR, key, types_XR)
        states_XAD = jnp.take_along_axis(states_XRD, places_XA[..., None], axis=1)
        states_XAD = self.norm(jax.nn.gelu(self.transform(states_XAD), approximate=False))
        return jax.nn.log_softmax(states_XAD @ self.bert.words.table[...].T + self.output_bias[...])


class Realm(nnx.Module):
    """Embedder and reader, which share no parameter."""

    def __init__(self, config: RealmConfig) -> None:
        self.embedder, self.reader = Embedder(config), Reader(config)

    def __call__(self, batch: Batch, key: Array | None = None) -> Outcome:
        """Dropout only with a key."""
        rows, candidates, _ = batch.read_BNR.shape
        reader_key, query_key, passage_key = subkeys(key, 3)
        queries_BE = self.embedder(batch.queries_BT, query_key)
        passages_XE = self.embedder(batch.passages_BNT.reshape(rows * candidates, -1), passage_key)
        prior_BN = log_prior(queries_BE, passages_XE.reshape(rows, candidates, -1))
        given_BNA = of_answers(read_rows(self.reader, batch, reader_key), batch)
        return Outcome(prior_BN, given_BNA, log_marginal(prior_BN, given_BNA))


def read_rows(reader: Reader, batch: Batch, key: Array | None = None) -> Distributions:
    """log p(. | x, z) at every mask of every query, for each of its candidates."""
    rows, candidates, length = batch.read_BNR.shape
    flat = (rows * candidates, length)
    places_XA = jnp.repeat(batch.places_BA, candidates, axis=0)
    found_XAV = reader(batch.read_BNR.reshape(flat), batch.types_BNR.reshape(flat), places_XA, key)
    return found_XAV.reshape(rows, candidates, *found_XAV.shape[1:])


def of_answers(found_BNAV: Distributions, batch: Batch) -> AnswerLogProbabilities:
    """What was predicted of the tokens that the masks hide."""
    return jnp.take_along_axis(found_BNAV, batch.answers_BA[:, None, :, None], axis=-1)[..., 0]


def log_prior(queries_BE: Float[Array, "B E"], passages_BNE: Float[Array, "B N E"]) -> CandidateScores:
    """log p(z | x) over the candidates: the softmax of f(x) . f(z)."""
    return jax.nn.log_softmax(
        jnp.einsum("be,bne->bn", queries_BE, passages_BNE, preferred_element_type=jnp.float32)
    )


def log_marginal(prior_BN: CandidateScores, given_BNA: AnswerLogProbabilities) -> Marginals:
    """log of the sum over z of p(z | x) p(y | x, z), for each masked token (equation 1)."""
    return jax.nn.logsumexp(prior_BN[..., None] + given_BNA, axis=1)


def mean_over_tokens(values_BA: Marginals, weights_BA: Marginals) -> Scalar:
    """The mean over all masked tokens of a batch, in which long spans count as much as they have tokens."""
    return jnp.sum(values_BA * weights_BA) / jnp.sum(weights_BA)


def utility(outcome: Outcome) -> Marginals:
    """log p(y | x) - log p(y | x, null document): what retrieval is worth to each masked token (section 5.1
    of the paper).
    """
    return outcome.marginal_BA - outcome.given_BNA[:, 0]


def first_parameters(config: RealmConfig, seed: int) -> Parameters:
    """Kernels and tables N(0, 0.64^2 / width), which is close to BERT's 0.02 at its width; norms 1, biases 0.

    Not as published: the reader's last layer begins by handing on the tokens that it attends to, and its head
    by naming them. What it is given then shows in what it predicts from the first update on, and training
    only has to find out where to look.
    """
    root, width = jax.random.key(seed), config.bert.hidden_size
    values = {
        path: _first(path, size, root, width)
        for path, size in Architecture.of(Realm, config).parameter_sizes().items()
    }
    last = f"reader.bert.layers.{config.bert.num_hidden_layers - 1}"
    handed_on, _ = jnp.linalg.qr(
        jax.random.normal(jax.random.fold_in(root, zlib.crc32(b"handed on")), (width, width))
    )
    copying = {
        f"{last}.value.kernel": handed_on,
        f"{last}.output.kernel": HANDED_ON * handed_on.T,
        "reader.transform.kernel": jnp.eye(width),
    }
    return {**values, **copying}


def _first(path: str, size: tuple[int, ...], root: Array, width: int) -> Array:
    if path.endswith("scale"):
        return jnp.ones(size)
    if path.endswith("bias"):
        return jnp.zeros(size)
    return SCALE * width**-0.5 * jax.random.normal(jax.random.fold_in(root, zlib.crc32(path.encode())), size)
