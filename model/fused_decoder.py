"""A language model whose upper decoder attends to neighbours: what RETRO and RPT have in common."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from data_contracts.eligibility import first_query
from model.agreement import LONGEST, NOTHING
from model.config import ModelConfig
from model.decoder import Block, State
from model.language_model import Decoded, Encoded, Fetched, LanguageModel
from model.layers import subkeys
from model.neighbour_fusion import FusedNeighbours, NeighbourFusion
from model.neighbour_gating import EarlierNeighbours, NeighbourGate, OpenGate
from model.shapes import HiddenStates, Neighbours


class UpperPast(NamedTuple):
    """What the upper decoder keeps of the segments before: the states of its layers, the gate's view of
    earlier neighbours, and the neighbours of the last chunk, which serve the first tokens of the next
    segment."""

    layers: tuple[State, ...]
    earlier: EarlierNeighbours | None
    last: FusedNeighbours


class FusedDecoder(LanguageModel):
    """Lower decoder, fusion of the neighbours' states, upper decoder with chunked cross-attention."""

    def __init__(self, config: ModelConfig, gate: OpenGate | None = None) -> None:
        super().__init__(config, lambda layer: Block(config, cross_attention=layer in config.cca_layers))
        self.fusion = NeighbourFusion(config, gate or NeighbourGate(config))

    def decode(
        self, encoded: Encoded, neighbours_BCN: Neighbours | None, key: Array | None = None
    ) -> HiddenStates:
        """Upper decoder and final norm.

        Raises:
            ValueError: no neighbours were given.
        """
        if neighbours_BCN is None:
            raise ValueError(
                "neighbours_BCN is None, but this system attends to neighbours: pass chunk numbers, -1 for"
                " none"
            )
        fusion_key, upper_key = subkeys(key, 2)
        hidden_BCMD = encoded.hidden_BLD.reshape(encoded.chunks_BCMD.shape)
        # The first two strides have nothing to retrieve, an eighth of the paper's sequences: nothing is
        # computed for them.
        first = min(first_query(self.config.stride_chunks), hidden_BCMD.shape[1] - 1)
        fused = self.fusion(
            encoded.chunks_BCMD,
            hidden_BCMD[:, first:],
            neighbours_BCN[:, first:],
            fusion_key,
            encoded.text_BT,
        )
        return self.final_norm(self.upper(encoded.hidden_BLD, None, fused, upper_key, encoded.text_BT)[0])

    def start_decoding(self, rows: int, slots: int) -> UpperPast:
        """Nothing was read, nothing retrieved."""
        values = jnp.zeros(
            (rows, 1, slots, 2 * self.config.chunk_tokens, self.config.width), self.config.dtype
        )
        text = (
            jnp.full((rows, 1, slots, LONGEST + 2 * self.config.chunk_tokens), NOTHING, jnp.int32)
            if self.config.copying
            else None
        )
        last = FusedNeighbours(values, jnp.zeros((rows, 1, slots), bool), text)
        return UpperPast(self.upper.start(rows), self.fusion.gate.start(rows, slots), last)

    def decode_segment(self, encoded: Encoded, fetched: Fetched, past: UpperPast) -> Decoded:
        """Fusion, upper decoder and final norm over one stride; the neighbours of the chunk before it serve
        its first tokens.
        """
        hidden_BCMD = encoded.hidden_BLD.reshape(encoded.chunks_BCMD.shape)
        own, gates, earlier = self.fusion.roll(
            fetched.pairs_BCURD, hidden_BCMD, fetched.slots_BSCN, past.earlier, fetched.text_BCUT
        )
        fused = jax.tree.map(lambda *parts: jnp.concatenate(parts, axis=1), past.last, own)
        hidden_XLD = jnp.repeat(encoded.hidden_BLD, fetched.slots_BSCN.shape[1], axis=0)
        text_XT = (
            None
            if encoded.text_BT is None
            else jnp.repeat(encoded.text_BT, fetched.slots_BSCN.shape[1], axis=0)
        )
        final, layers = self.upper(hidden_XLD, past.layers, fused, None, text_XT)
        return Decoded(
            self.final_norm(final), gates, UpperPast(layers, earlier, jax.tree.map(lambda x: x[:, -1:], own))
        )
