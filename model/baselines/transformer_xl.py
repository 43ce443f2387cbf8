"""Transformer-XL (Dai et al., arXiv 1901.02860) as the paper's baseline (section 5.1): sliding-window attention and no retrieval."""

from __future__ import annotations

from jax import Array

from model.language_model import Batch, Encoded, LanguageModel, Losses, Metrics, Schedule
from model.shapes import HiddenStates, Neighbours


class TransformerXL(LanguageModel):
    """The two decoders, one after the other."""

    def decode(self, encoded: Encoded, neighbours_BCN: Neighbours | None, key: Array | None = None) -> HiddenStates:
        """Upper decoder and final norm; neighbours are ignored."""
        return self.final_norm(self.upper(encoded.hidden_BLD, key=key))

    def train_losses(self, batch: Batch, schedule: Schedule, key: Array) -> tuple[Losses, Metrics]:
        """The language-model loss alone."""
        encode_key, decode_key = self._dropout_keys(key)
        final = self.decode(self.encode(batch.tokens_BL, encode_key), None, decode_key)
        loss = self._lm_loss(final, batch)
        return {"lm": loss}, {"lm_loss": loss}
