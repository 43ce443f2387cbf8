"""The control of every claim about retrieval: RETRO's parameters and computation, with neighbours drawn at
random.
"""

from __future__ import annotations

import jax
from jax import Array

from model.baselines.retro import Retro
from model.language_model import Batch
from model.masks import eligible_pairs
from model.neighbours import own_neighbours
from model.shapes import Neighbours


class RandomRetrieval(Retro):
    """Each chunk reads eligible chunks drawn anew in every step. What it gains over Transformer-XL is not due
    to retrieval.
    """

    def training_neighbours(self, batch: Batch, key: Array) -> Neighbours:
        """As many eligible chunks as there are neighbours, without replacement, -1 where there are fewer."""
        rows, chunks = batch.labelled_BC.shape
        eligible = eligible_pairs(chunks, self.config.stride_chunks)
        return own_neighbours(
            jax.random.uniform(key, (rows, chunks, chunks)), eligible, self.config.neighbours
        )
