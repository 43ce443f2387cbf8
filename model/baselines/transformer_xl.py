"""Transformer-XL (Dai et al., arXiv 1901.02860) as the paper's baseline (section 5.1): sliding-window attention and no retrieval."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from model.language_model import Batch, Encoded, Fetched, LanguageModel, Losses, Metrics, Schedule, UpperPast
from model.neighbour_gating import Gates
from model.shapes import HiddenStates, Neighbours


class TransformerXL(LanguageModel):
    """The two decoders, one after the other."""

    def decode(self, encoded: Encoded, neighbours_BCN: Neighbours | None, key: Array | None = None) -> HiddenStates:
        """Upper decoder and final norm; neighbours are ignored."""
        return self.final_norm(self.upper(encoded.hidden_BLD, key=key))

    def decode_segment(self, encoded: Encoded, fetched: Fetched, past: UpperPast) -> tuple[HiddenStates, Gates, UpperPast]:
        """Upper decoder and final norm over one stride, in one setting; there are no neighbours and no gates."""
        final, windows = self.upper.roll(encoded.hidden_BLD, past.windows)
        return self.final_norm(final), jnp.zeros(fetched.slots_SCN.shape), past._replace(windows=windows)

    def train_losses(self, batch: Batch, schedule: Schedule, key: Array) -> tuple[Losses, Metrics]:
        """The language-model loss alone."""
        encode_key, decode_key = self._dropout_keys(key)
        final = self.decode(self.encode(batch.tokens_BL, encode_key), None, decode_key)
        loss = self._lm_loss(final, batch)
        return {"lm": loss}, {"lm_loss": loss}
