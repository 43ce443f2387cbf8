"""Transformer-XL (Dai et al., arXiv 1901.02860) as the paper's baseline (section 5.1): sliding-window
attention and no retrieval.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from model.decoder import State, restart
from model.language_model import Batch, Decoded, Encoded, Fetched, LanguageModel, Schedule, Trained
from model.shapes import HiddenStates, Neighbours


class TransformerXL(LanguageModel):
    """The two decoders, one after the other. With other blocks it is another of the paper's baselines without
    retrieval.
    """

    def decode(
        self, encoded: Encoded, neighbours_BCN: Neighbours | None, key: Array | None = None
    ) -> HiddenStates:
        """Upper decoder and final norm; neighbours are ignored."""
        return self.final_norm(self.upper(encoded.hidden_BLD, None, None, key, encoded.text_BT)[0])

    def start_decoding(self, rows: int, slots: int) -> State:
        """The states of the upper layers."""
        return self.upper.start(rows)

    def decode_segment(self, encoded: Encoded, fetched: Fetched, past: State) -> Decoded:
        """Upper decoder and final norm; every setting reads the same."""
        batch, settings, chunks, slots = fetched.slots_BSCN.shape
        hidden_XLD, text_XT = jax.tree.map(
            lambda x: jnp.repeat(x, settings, axis=0), (encoded.hidden_BLD, encoded.text_BT)
        )
        final, following = self.upper(hidden_XLD, past, text_BT=text_XT)
        return Decoded(self.final_norm(final), jnp.zeros((batch * settings, chunks, slots)), following)

    def start(self, rows: int) -> State:
        """The states of the lower and of the upper layers."""
        return self.start_encoding(rows), self.upper.start(rows)

    def train_losses(self, batch: Batch, schedule: Schedule, key: Array, carried: State = None) -> Trained:
        """The language-model loss alone."""
        encode_key, decode_key = self._dropout_keys(key)
        past = (
            (None, None)
            if carried is None
            else restart(carried, self.start(len(batch.starts_B)), batch.starts_B)
        )
        encoded, lower = self.encode_segment(batch.tokens_BL, past[0], encode_key)
        final, upper = self.upper(encoded.hidden_BLD, past[1], None, decode_key, encoded.text_BT)
        loss = self._lm_loss(self.final_norm(final), batch)
        return Trained({"lm": loss}, {"lm_loss": loss}, None if carried is None else (lower, upper))
