"""RETRO (Borgeaud et al., arXiv 2112.04426) in the paper's form (section 5.1): neighbours found by BM25,
encoded by the lower decoder.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from model.decoder import State
from model.fused_decoder import FusedDecoder
from model.language_model import Batch, Schedule, Trained
from model.masks import eligible_pairs
from model.shapes import Neighbours


class Retro(FusedDecoder):
    """Neighbours come from outside and offer the raw states of the lower decoder."""

    def train_losses(self, batch: Batch, schedule: Schedule, key: Array, carried: State = None) -> Trained:
        """The language-model loss, with neighbours that are no part of what is learned."""
        encode_key, decode_key = self._dropout_keys(key)
        encoded = self.encode(batch.tokens_BL, encode_key)
        neighbours = self.training_neighbours(batch, jax.random.fold_in(key, 1))
        loss = self._lm_loss(self.decode(encoded, neighbours, decode_key), batch)
        return Trained({"lm": loss}, {"lm_loss": loss})

    def training_neighbours(self, batch: Batch, key: Array) -> Neighbours:
        """The best BM25 candidates; nothing is drawn."""
        first = batch.candidates_BCS[..., : self.config.neighbours]
        eligible = eligible_pairs(first.shape[1], self.config.stride_chunks)
        allowed = jnp.take_along_axis(eligible[None], first, axis=2, mode="clip")
        return jnp.where(allowed, first, -1)
