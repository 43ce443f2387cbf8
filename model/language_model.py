"""What every system is: a lower and an upper decoder (paper section 3.1), a tied embedding, and what training and evaluation call."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

import jax
from flax import nnx
from jax import Array

from model.attention import Window
from model.config import Shape
from model.decoder import Decoder
from model.layers import Embedding, RMSNorm, dropout, subkeys
from model.lm_loss import mean_loss, token_losses
from model.neighbour_fusion import FusedNeighbours
from model.neighbour_gating import EarlierNeighbours, Gates
from model.neighbours import PairStates
from model.shapes import (
    CandidateIds,
    CandidateScores,
    ChunkMask,
    ChunkStates,
    ChunkVectors,
    HiddenStates,
    Neighbours,
    Scalar,
    TokenIds,
    TokenLosses,
    TokenMask,
)

Losses = dict[str, Scalar]
Metrics = dict[str, Scalar]


class Batch(NamedTuple):
    """Training sequences and their supervision.

    Position p holds token x_p and predicts x_p+1. Padding lies at the end of a sequence, where `loss_mask_BL` is False.
    `candidates_BCS` are chunk numbers counted from the start of the sequence, -1 for none, in order of BM25 rank; `scores_BCS`
    are s_t in nats summed over the target chunk (rpt_sem) or BM25 values (retro, rpt_lex); `labelled_BC` says which chunks
    were scored, for no candidate may be positive.
    """

    tokens_BL: TokenIds
    targets_BL: TokenIds
    loss_mask_BL: TokenMask
    candidates_BCS: CandidateIds
    scores_BCS: CandidateScores
    labelled_BC: ChunkMask


class Schedule(NamedTuple):
    """What changes during training: margin tau, weight alpha of the ranking loss, chance that a chunk uses its own neighbours."""

    tau: Scalar | float
    alpha: Scalar | float
    own_probability: Scalar | float


class Encoded(NamedTuple):
    """Output of the lower decoder: h, the token states a neighbour offers, and (with a retriever) the chunks' queries and keys."""

    hidden_BLD: HiddenStates
    chunks_BCMD: ChunkStates
    queries_BCD: ChunkVectors | None
    keys_BCD: ChunkVectors | None


class Fetched(NamedTuple):
    """The neighbours of a segment: the states of the U pairs fetched for each chunk, and which of them each setting reads, -1 for none."""

    pairs_CURD: PairStates
    slots_SCN: Neighbours


class UpperPast(NamedTuple):
    """What the upper decoder keeps of the segments before, for each setting: a window a layer, the gate's view of earlier neighbours, and
    the neighbours of the last chunk, which serve the first tokens of the next segment."""

    windows: tuple[Window, ...]
    earlier: EarlierNeighbours
    last: FusedNeighbours


class LanguageModel(nnx.Module):
    """The parts all systems share, under the same parameter paths. Subclasses say what is encoded, retrieved and learned."""

    def __init__(self, shape: Shape, cca_layers: tuple[int, ...] = ()) -> None:
        self.shape = shape
        self.embedding = Embedding(shape.vocabulary_size, shape.width, shape.dtype)
        self.lower = Decoder(shape, 1, shape.lower_layers)
        self.upper = Decoder(shape, shape.lower_layers + 1, shape.layers, cca_layers)
        self.final_norm = RMSNorm(shape.width)

    def encode(self, tokens_BL: TokenIds, key: Array | None = None) -> Encoded:
        """Lower decoder over whole sequences; dropout only with a key.

        Raises:
            ValueError: the length is not a multiple of the window stride.
        """
        self.shape.chunks_of(tokens_BL.shape[1])
        embedding_key, lower_key = subkeys(key, 2)
        hidden = dropout(self.embedding(tokens_BL), self.shape.dropout, embedding_key)
        return self._encoded(self.lower(hidden, key=lower_key), key)

    def encode_segment(self, tokens_BW: TokenIds, past: tuple[Window, ...]) -> tuple[Encoded, tuple[Window, ...]]:
        """`encode` over one stride of documents, which goes on from `past`, and what the next stride goes on from."""
        hidden, windows = self.lower.roll(self.embedding(tokens_BW), past)
        return self._encoded(hidden, None), windows

    def _encoded(self, hidden_BLD: HiddenStates, key: Array | None) -> Encoded:
        return Encoded(hidden_BLD, hidden_BLD.reshape(hidden_BLD.shape[0], -1, self.shape.chunk_tokens, hidden_BLD.shape[-1]), None, None)

    @abstractmethod
    def decode(self, encoded: Encoded, neighbours_BCN: Neighbours | None, key: Array | None = None) -> HiddenStates:
        """Upper decoder and final norm. Any number of neighbours may be given, -1 for none; each must be an eligible chunk."""

    @abstractmethod
    def decode_segment(self, encoded: Encoded, fetched: Fetched, past: UpperPast) -> tuple[HiddenStates, Gates, UpperPast]:
        """`decode` over one stride of one document in several settings S, each going on from its own past.

        Returns the final states [S, W, D], the gates [S, C, N] and what the next stride goes on from.
        """

    def token_losses(self, final_BLD: HiddenStates, targets_BL: TokenIds) -> TokenLosses:
        """-log p(target) of every position, in nats."""
        return token_losses(final_BLD, self.embedding.table[...], targets_BL)

    @abstractmethod
    def train_losses(self, batch: Batch, schedule: Schedule, key: Array) -> tuple[Losses, Metrics]:
        """The weighted losses, whose sum is minimised, and what to report beside them."""

    def _lm_loss(self, final_BLD: HiddenStates, batch: Batch) -> Scalar:
        return mean_loss(self.token_losses(final_BLD, batch.targets_BL), batch.loss_mask_BL)

    def _dropout_keys(self, key: Array) -> list[Array | None]:
        """One key for encode and one for decode, or none where there is nothing to drop."""
        return subkeys(jax.random.fold_in(key, 0) if self.shape.dropout else None, 2)
