"""A language model whose upper decoder attends to neighbours: what RETRO and RPT have in common."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from data_contracts.eligibility import first_query
from model.config import Shape
from model.language_model import Encoded, Fetched, LanguageModel, UpperPast
from model.layers import subkeys
from model.neighbour_fusion import FusedNeighbours, NeighbourFusion
from model.neighbour_gating import Gates
from model.shapes import HiddenStates, Neighbours


class FusedDecoder(LanguageModel):
    """Lower decoder, fusion of the neighbours' states, upper decoder with chunked cross-attention."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, shape.cca_layers)
        self.fusion = NeighbourFusion(shape)

    def decode(self, encoded: Encoded, neighbours_BCN: Neighbours | None, key: Array | None = None) -> HiddenStates:
        """Upper decoder and final norm.

        Raises:
            ValueError: no neighbours were given.
        """
        if neighbours_BCN is None:
            raise ValueError("neighbours_BCN is None, but this system attends to neighbours: pass chunk numbers, -1 for none")
        fusion_key, upper_key = subkeys(key, 2)
        hidden_BCMD = encoded.hidden_BLD.reshape(encoded.chunks_BCMD.shape)
        # The first two strides have nothing to retrieve, an eighth of the paper's sequences: nothing is computed for them.
        first = min(first_query(self.shape.stride_chunks), hidden_BCMD.shape[1] - 1)
        fused = self.fusion(encoded.chunks_BCMD, hidden_BCMD[:, first:], neighbours_BCN[:, first:], fusion_key)
        return self.final_norm(self.upper(encoded.hidden_BLD, fused, upper_key))

    def decode_segment(self, encoded: Encoded, fetched: Fetched, past: UpperPast) -> tuple[HiddenStates, Gates, UpperPast]:
        """Fusion, upper decoder and final norm over one stride; the neighbours of the chunk before it serve its first tokens."""
        hidden_BCMD = encoded.hidden_BLD.reshape(encoded.chunks_BCMD.shape)
        own, gates, earlier = self.fusion.roll(fetched.pairs_CURD, hidden_BCMD, fetched.slots_SCN, past.earlier)
        fused = FusedNeighbours(*(jnp.concatenate(parts, axis=1) for parts in zip(past.last, own, strict=True)))
        hidden_SLD = jnp.broadcast_to(encoded.hidden_BLD, (len(fetched.slots_SCN), *encoded.hidden_BLD.shape[1:]))
        final, windows = self.upper.roll(hidden_SLD, past.windows, fused)
        return self.final_norm(final), gates, UpperPast(windows, earlier, FusedNeighbours(*(x[:, -1:] for x in own)))
