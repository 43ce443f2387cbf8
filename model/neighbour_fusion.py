"""From the numbers of the neighbours to the states the upper decoder attends to (paper section 3.1, footnote
2).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Int

from model.agreement import LONGEST, Text
from model.attention import Attention, attend, bidirectional_attention
from model.config import ModelConfig
from model.layers import RMSNorm, subkeys
from model.neighbour_gating import Gates, NeighbourGate, OpenGate
from model.neighbours import PairStates, chunk_pairs, gather_pairs, valid_neighbours
from model.rotary import rotate
from model.shapes import ChunkStates, NeighbourMask, Neighbours, NeighbourStates


class FusedNeighbours(NamedTuple):
    """Gated token states of each chunk's neighbours, which slots hold one, and their text where heads are
    told what agrees.

    May be used from the last token of the chunk on.
    """

    values_BCNRD: NeighbourStates
    valid_BCN: NeighbourMask
    text_BCNT: Text | None = None


class NeighbourFusion(nnx.Module):
    """z = (e_j, e_j+1); z += bidirectional attention; z += attention to the query chunk's h; then gated.

    The first step and the queries of the second do not depend on the query chunk: they are computed once per
    pair (j, j + 1) and gathered. The query chunk's keys and values are computed once for all of its
    neighbours.
    """

    def __init__(self, config: ModelConfig, gate: NeighbourGate | OpenGate) -> None:
        self.stride_chunks, self.rate = config.stride_chunks, config.dropout
        self.pair_norm = RMSNorm(config.width)
        self.pair_attention = Attention(config.width, config.heads, null_key=True)
        self.neighbour_norm = RMSNorm(config.width)
        self.query_chunk_norm = RMSNorm(config.width)
        self.query_chunk_attention = Attention(config.width, config.heads, null_key=True)
        self.states_norm = RMSNorm(config.width) if config.copying else None
        self.gate = gate

    def __call__(
        self,
        chunks_BCMD: ChunkStates,
        hidden_BCMD: ChunkStates,
        neighbours_BCN: Neighbours,
        key: Array | None = None,
        text_BT: Text | None = None,
    ) -> FusedNeighbours:
        pair_key, query_key, gate_key = subkeys(key, 3)
        pairs_BPRD = chunk_pairs(chunks_BCMD, self.stride_chunks)
        valid_BCN = valid_neighbours(neighbours_BCN, pairs_BPRD.shape[1])
        values_BCNRD = self._states(pairs_BPRD, hidden_BCMD, neighbours_BCN, pair_key, query_key)
        gates_BCN = self.gate(jnp.mean(values_BCNRD, axis=3, dtype=jnp.float32), valid_BCN, gate_key)
        gated = gates_BCN[..., None, None].astype(values_BCNRD.dtype) * values_BCNRD
        texts = None if text_BT is None else _texts_of(text_BT, neighbours_BCN, *chunks_BCMD.shape[2:0:-1])
        return FusedNeighbours(gated, valid_BCN, texts)

    def roll(
        self,
        pairs_BCURD: PairStates,
        hidden_BCMD: ChunkStates,
        slots_BSCN: Int[Array, "B S C N"],
        past: Any,
        text_BCUT: Text | None = None,
    ) -> tuple[FusedNeighbours, Gates, Any]:
        """The same for a segment of B documents, for S settings of each: U pairs were fetched for each chunk,
        and each setting reads those that its slots name, -1 for none. What does not depend on the setting is
        computed once. Returns rows [B * S, ...].
        """
        batch, chunks, fetched = pairs_BCURD.shape[:3]
        pairs_BPRD = pairs_BCURD.reshape(batch, chunks * fetched, *pairs_BCURD.shape[3:]).astype(
            hidden_BCMD.dtype
        )
        every = jnp.broadcast_to(
            jnp.arange(chunks * fetched).reshape(chunks, fetched), (batch, chunks, fetched)
        )
        values_BCURD = self._states(pairs_BPRD, hidden_BCMD, every)
        slots_XCN = slots_BSCN.reshape(-1, *slots_BSCN.shape[2:])
        values_XCURD = jnp.repeat(values_BCURD, slots_BSCN.shape[1], axis=0)
        values_XCNRD = jnp.take_along_axis(values_XCURD, slots_XCN[..., None, None], axis=2, mode="clip")
        gates_XCN, following = self.gate.roll(
            jnp.mean(values_XCNRD, axis=3, dtype=jnp.float32), slots_XCN >= 0, past
        )
        gated = gates_XCN[..., None, None].astype(values_XCNRD.dtype) * values_XCNRD
        text_XCNT = None
        if text_BCUT is not None:
            text_XCUT = jnp.repeat(text_BCUT, slots_BSCN.shape[1], axis=0)
            text_XCNT = jnp.take_along_axis(text_XCUT, slots_XCN[..., None], axis=2, mode="clip")
        return FusedNeighbours(gated, slots_XCN >= 0, text_XCNT), gates_XCN, following

    def _states(
        self,
        pairs_BPRD: PairStates,
        hidden_BCMD: ChunkStates,
        neighbours_BCN: Neighbours,
        pair_key: Array | None = None,
        query_key: Array | None = None,
    ) -> NeighbourStates:
        pairs_BPRD = pairs_BPRD + bidirectional_attention(
            self.pair_attention, self.pair_norm(pairs_BPRD), self.rate, pair_key
        )
        values_BCNRD = gather_pairs(pairs_BPRD, neighbours_BCN)
        values_BCNRD += self._attend_to_query_chunk(pairs_BPRD, hidden_BCMD, neighbours_BCN, query_key)
        return values_BCNRD if self.states_norm is None else self.states_norm(values_BCNRD)

    def _attend_to_query_chunk(
        self, pairs_BPRD: Array, hidden_BCMD: Array, neighbours_BCN: Array, key: Array | None
    ) -> Array:
        attention = self.query_chunk_attention
        batch, chunks, per_chunk = neighbours_BCN.shape
        tokens, width = pairs_BPRD.shape[2:]
        queries = rotate(attention.queries(self.neighbour_norm(pairs_BPRD)), jnp.arange(tokens))
        queries = gather_pairs(queries, neighbours_BCN).reshape(
            batch * chunks, per_chunk * tokens, *queries.shape[-2:]
        )
        keys, values = attention.keys_and_values(
            self.query_chunk_norm(hidden_BCMD).reshape(batch * chunks, -1, width)
        )
        keys = rotate(keys, jnp.arange(keys.shape[1]))
        out = attention.merge(attend(queries, keys, values, null=attention.null(), rate=self.rate, key=key))
        return out.reshape(batch, chunks, per_chunk, tokens, width)


def _texts_of(text_BT: Text, neighbours_BCN: Neighbours, size: int, chunks: int) -> Text:
    """[B, C, N, R + LONGEST] the text of each neighbour and the tokens before it; of some neighbour where
    there is none.
    """
    first = text_BT.shape[1] - chunks * size
    places = first + jnp.maximum(neighbours_BCN, 0)[..., None] * size + jnp.arange(-LONGEST, 2 * size)
    return jax.vmap(lambda text_T, places_CNT: jnp.take(text_T, places_CNT, mode="clip"))(text_BT, places)
