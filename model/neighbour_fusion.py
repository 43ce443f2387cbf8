"""From the numbers of the neighbours to the states the upper decoder attends to (paper section 3.1, footnote 2)."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax import Array

from model.attention import Attention, attend, bidirectional_attention
from model.config import Shape
from model.layers import RMSNorm, subkeys
from model.neighbour_gating import NeighbourGate
from model.neighbours import chunk_pairs, gather_pairs, valid_neighbours
from model.rotary import rotate
from model.shapes import ChunkStates, NeighbourMask, Neighbours, NeighbourStates


class FusedNeighbours(NamedTuple):
    """Gated token states of each chunk's neighbours, and which slots hold one. May be used from the last token of the chunk on."""

    values_BCNRD: NeighbourStates
    valid_BCN: NeighbourMask


class NeighbourFusion(nnx.Module):
    """z = (e_j, e_j+1); z += bidirectional attention; z += attention to the query chunk's h; then gated.

    The first step and the queries of the second do not depend on the query chunk: they are computed once per pair (j, j + 1) and
    gathered. The query chunk's keys and values are computed once for all of its neighbours.
    """

    def __init__(self, shape: Shape) -> None:
        self.stride_chunks, self.rate = shape.stride_chunks, shape.dropout
        self.pair_norm = RMSNorm(shape.width)
        self.pair_attention = Attention(shape.width, shape.heads, null_key=True)
        self.neighbour_norm = RMSNorm(shape.width)
        self.query_chunk_norm = RMSNorm(shape.width)
        self.query_chunk_attention = Attention(shape.width, shape.heads, null_key=True)
        self.gate = NeighbourGate(shape)

    def __call__(
        self, chunks_BCMD: ChunkStates, hidden_BCMD: ChunkStates, neighbours_BCN: Neighbours, key: Array | None = None
    ) -> FusedNeighbours:
        pair_key, query_key, gate_key = subkeys(key, 3)
        pairs_BPRD = chunk_pairs(chunks_BCMD, self.stride_chunks)
        pairs_BPRD = pairs_BPRD + bidirectional_attention(self.pair_attention, self.pair_norm(pairs_BPRD), self.rate, pair_key)
        valid_BCN = valid_neighbours(neighbours_BCN, pairs_BPRD.shape[1])
        values_BCNRD = gather_pairs(pairs_BPRD, neighbours_BCN)
        values_BCNRD = values_BCNRD + self._attend_to_query_chunk(pairs_BPRD, hidden_BCMD, neighbours_BCN, query_key)
        gates_BCN = self.gate(jnp.mean(values_BCNRD, axis=3, dtype=jnp.float32), valid_BCN, gate_key)
        return FusedNeighbours(gates_BCN[..., None, None].astype(values_BCNRD.dtype) * values_BCNRD, valid_BCN)

    def _attend_to_query_chunk(self, pairs_BPRD: Array, hidden_BCMD: Array, neighbours_BCN: Array, key: Array | None) -> Array:
        attention = self.query_chunk_attention
        batch, chunks, per_chunk = neighbours_BCN.shape
        tokens, width = pairs_BPRD.shape[2:]
        queries = rotate(attention.queries(self.neighbour_norm(pairs_BPRD)), jnp.arange(tokens))
        queries = gather_pairs(queries, neighbours_BCN).reshape(batch * chunks, per_chunk * tokens, *queries.shape[-2:])
        keys, values = attention.keys_and_values(self.query_chunk_norm(hidden_BCMD).reshape(batch * chunks, -1, width))
        keys = rotate(keys, jnp.arange(keys.shape[1]))
        out = attention.merge(attend(queries, keys, values, null=attention.null(), rate=self.rate, key=key))
        return out.reshape(batch, chunks, per_chunk, tokens, width)
