"""A language model whose upper decoder attends to neighbours: what RETRO and RPT have in common."""

from __future__ import annotations

from jax import Array

from data_contracts.eligibility import first_query
from model.config import Shape
from model.language_model import Encoded, LanguageModel
from model.layers import subkeys
from model.neighbour_fusion import NeighbourFusion
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
