"""Recency: a control that reads what lies just outside the window. What it gains over Transformer-XL needs no
search.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from model.baselines.retro import Retro
from model.language_model import Batch
from model.masks import eligible_pairs
from model.neighbours import own_neighbours
from model.shapes import Neighbours


class Recency(Retro):
    """Each chunk reads the latest eligible chunks, the latest first."""

    def training_neighbours(self, batch: Batch, key: Array) -> Neighbours:
        """As many as there are neighbours, -1 where there are fewer."""
        rows, chunks = batch.labelled_BC.shape
        latest = jnp.broadcast_to(jnp.arange(chunks, dtype=jnp.float32), (rows, chunks, chunks))
        return own_neighbours(
            latest, eligible_pairs(chunks, self.config.stride_chunks), self.config.neighbours
        )
