"""What every system is: a lower and an upper decoder (paper section 3.1), a tied embedding, and what training
and evaluation call.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Int

from model.agreement import LONGEST, NOTHING, Text
from model.config import ModelConfig
from model.decoder import Block, BlockOf, Decoder, State
from model.layers import Embedding, RMSNorm, dropout, subkeys
from model.lm_loss import mean_loss, token_losses
from model.neighbours import PairStates
from model.shapes import (
    CandidateIds,
    CandidateScores,
    ChunkMask,
    ChunkStates,
    HiddenStates,
    Neighbours,
    PassageTokens,
    RetrievalVectors,
    RowMask,
    Scalar,
    TokenIds,
    TokenLosses,
    TokenMask,
)

Losses = dict[str, Scalar]
Metrics = dict[str, Scalar]


class Counts(NamedTuple):
    """What the losses and metrics of a batch are means over: tokens, labelled queries, and queries with a
    positive candidate."""

    tokens: Scalar
    queries: Scalar | float = 0.0
    answered: Scalar | float = 0.0


class Batch(NamedTuple):
    """Training sequences and their supervision.

    Position p holds token x_p and predicts x_p+1. Padding lies at the end of a sequence, where `loss_mask_BL`
    is False. `candidates_BCS` are chunk numbers counted from the start of the sequence, -1 for none, in order
    of BM25 rank; `scores_BCS` are s_t in nats summed over the target chunk (rpt_sem) or BM25 values (retro,
    rpt_lex); `labelled_BC` says which chunks were scored, for no candidate may be positive. `starts_B` says
    which sequences begin a document, or are to be read as if they did: it matters to what carries state from
    step to step. `passages_BCNR` are the tokens of what each chunk reads of a whole corpus, -1 where it has
    fewer passages; only systems that read one are given them. `counts` are those of the whole batch where
    this is a part of one; its losses and metrics then add up to those of the whole.
    """

    tokens_BL: TokenIds
    targets_BL: TokenIds
    loss_mask_BL: TokenMask
    candidates_BCS: CandidateIds
    scores_BCS: CandidateScores
    labelled_BC: ChunkMask
    starts_B: RowMask
    passages_BCNR: PassageTokens | None = None
    counts: Counts | None = None


class Schedule(NamedTuple):
    """What changes during training: margin tau, weight alpha of the ranking loss, chance that a chunk uses
    its own neighbours.
    """

    tau: Scalar | float
    alpha: Scalar | float
    own_probability: Scalar | float


class Encoded(NamedTuple):
    """Output of the lower decoder: h, the token states a neighbour offers, and (with a retriever) the chunks'
    queries and keys.

    `text_BT` is the text itself and that of the stride before it, where heads are told what agrees
    (model/agreement.py).
    """

    hidden_BLD: HiddenStates
    chunks_BCMD: ChunkStates
    queries_BCE: RetrievalVectors | None
    keys_BCE: RetrievalVectors | None
    text_BT: Text | None = None


class LowerPast(NamedTuple):
    """What the lower decoder goes on from: the states of its layers, and the text before where heads are told
    what agrees.
    """

    layers: tuple[State, ...]
    text_BT: Text | None


class Fetched(NamedTuple):
    """The neighbours of a segment: the states of the U pairs fetched for each chunk, which of them each of S
    settings reads, -1 for none, and their text where heads are told what agrees."""

    pairs_BCURD: PairStates
    slots_BSCN: Int[Array, "B S C N"]
    text_BCUT: Text | None = None


class Decoded(NamedTuple):
    """A segment as the upper decoder reads it, the settings of a document one after the other: final states
    [B * S, W, D], gates [B * S, C, N] (of no use where there are no neighbours), and what the next segment
    goes on from."""

    final_XWD: HiddenStates
    gates_XCN: Array
    following: State


class Trained(NamedTuple):
    """What a batch teaches: the weighted losses, whose sum is minimised, what to report beside them, and the
    state after the batch.
    """

    losses: Losses
    metrics: Metrics
    carried: State = None


class LanguageModel(nnx.Module):
    """The parts all systems share, under the same parameter paths. Subclasses say what is encoded, retrieved
    and learned.
    """

    def __init__(self, config: ModelConfig, block: BlockOf | None = None) -> None:
        self.config = config
        self.embedding = Embedding(config.vocabulary_size, config.width, config.dtype)
        block = block or (lambda _: Block(config))
        self.lower = Decoder(config, block, 1, config.lower_layers)
        self.upper = Decoder(config, block, config.lower_layers + 1, config.layers)
        self.final_norm = RMSNorm(config.width)

    def encode(self, tokens_BL: TokenIds, key: Array | None = None) -> Encoded:
        """Lower decoder over whole sequences; dropout only with a key.

        Raises:
            ValueError: the length is not a multiple of the window stride.
        """
        return self.encode_segment(tokens_BL, None, key)[0]

    def start_encoding(self, rows: int) -> LowerPast:
        """What `encode_segment` goes on from at the start of `rows` documents."""
        return LowerPast(self.lower.start(rows), self._nothing_before(rows))

    def encode_segment(
        self, tokens_BL: TokenIds, past: LowerPast | None, key: Array | None = None
    ) -> tuple[Encoded, LowerPast]:
        """`encode` over strides of documents that go on from `past`, and what the next go on from."""
        self.config.chunks_of(tokens_BL.shape[1])
        embedding_key, lower_key = subkeys(key, 2)
        before = past.text_BT if past else self._nothing_before(len(tokens_BL))
        text = None if before is None else jnp.concatenate((before, tokens_BL), axis=1)
        embedded = dropout(self.embedding(tokens_BL), self.config.dropout, embedding_key)
        hidden, layers = self.lower(embedded, past and past.layers, key=lower_key, text_BT=text)
        following = None if text is None else text[:, -(self.config.stride_tokens + LONGEST) :]
        return self._encoded(hidden, tokens_BL, key)._replace(text_BT=text), LowerPast(layers, following)

    def _nothing_before(self, rows: int) -> Text | None:
        size = self.config.stride_tokens + LONGEST
        return jnp.full((rows, size), NOTHING, jnp.int32) if self.config.copying else None

    def _encoded(self, hidden_BLD: HiddenStates, tokens_BL: TokenIds, key: Array | None) -> Encoded:
        return Encoded(
            hidden_BLD,
            hidden_BLD.reshape(hidden_BLD.shape[0], -1, self.config.chunk_tokens, hidden_BLD.shape[-1]),
            None,
            None,
        )

    @abstractmethod
    def decode(
        self, encoded: Encoded, neighbours_BCN: Neighbours | None, key: Array | None = None
    ) -> HiddenStates:
        """Upper decoder and final norm. Any number of neighbours may be given, -1 for none; each must be an
        eligible chunk.
        """

    @abstractmethod
    def start_decoding(self, rows: int, slots: int) -> State:
        """What `decode_segment` goes on from at the start of `rows` documents and settings, with `slots`
        neighbours a chunk.
        """

    @abstractmethod
    def decode_segment(self, encoded: Encoded, fetched: Fetched, past: State) -> Decoded:
        """`decode` over one stride of B documents in S settings each, every one going on from its
        own past.
        """

    def token_losses(self, final_BLD: HiddenStates, targets_BL: TokenIds) -> TokenLosses:
        """-log p(target) of every position, in nats."""
        return token_losses(final_BLD, self.embedding.table[...], targets_BL)

    def log_probs(self, final_D: Array) -> Array:
        """float32 [V], log p of every token after a final state [D], in nats."""
        table = self.embedding.table[...].astype(final_D.dtype)
        return jax.nn.log_softmax(jnp.matmul(table, final_D, preferred_element_type=jnp.float32))

    def start(self, rows: int) -> State:
        """What training goes on from at the start of `rows` documents, where it carries state.

        Raises:
            TypeError: this model is trained on independent sequences only.
        """
        raise TypeError(
            f"{type(self).__name__} is trained on independent sequences, it carries no state: set carry to"
            " none"
        )

    @abstractmethod
    def train_losses(self, batch: Batch, schedule: Schedule, key: Array, carried: State = None) -> Trained:
        """The losses of a batch, whose sequences go on from `carried`; without one, each is on its own."""

    def counts(self, batch: Batch) -> Counts:
        """What the losses of a whole batch are means over; it depends on no parameter."""
        return Counts(jnp.sum(batch.loss_mask_BL))

    def _lm_loss(self, final_BLD: HiddenStates, batch: Batch) -> Scalar:
        losses = self.token_losses(final_BLD, batch.targets_BL)
        return mean_loss(losses, batch.loss_mask_BL, batch.counts and batch.counts.tokens)

    def _dropout_keys(self, key: Array) -> list[Array | None]:
        """One key for encode and one for decode, or none where there is nothing to drop."""
        return subkeys(jax.random.fold_in(key, 0) if self.config.dropout else None, 2)
