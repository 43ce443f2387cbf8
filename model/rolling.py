"""A document of any length, read one stride after the other, with neighbours from all of its past (paper section 3.4).

What passes from stride to stride is explicit: keys and values of one stride a layer, the gate's view of earlier neighbours, and the
neighbours of the last chunk. Losses are those of the training forward over the whole document with the same neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from model.attention import Window
from model.config import Shape
from model.language_model import Encoded, Fetched, LanguageModel, UpperPast
from model.memory import Memory
from model.neighbour_fusion import FusedNeighbours
from model.neighbour_gating import EarlierNeighbours, Gates
from model.shapes import TokenLosses

Choose = Callable[[int, np.ndarray | None], np.ndarray]
"""(number of the first chunk of a stride, queries [C, D] or None) -> neighbours [S, C, N] of each setting, -1 for none."""


class Reading(NamedTuple):
    """What reading a document gives, for each setting: the loss in nats of every token but the first, and the gate of every neighbour."""

    losses_ST: np.ndarray
    gates_SCN: np.ndarray


class Reader:
    """Reads documents with one model in S settings of at most N neighbours, of which a chunk has at most U different ones.

    Its two steps are compiled once, whatever the documents' lengths.
    """

    def __init__(self, model: LanguageModel, settings: int, slots: int, distinct: int) -> None:
        self.shape, self.settings, self.slots, self.distinct = model.shape, settings, slots, distinct
        graph, self._parameters = nnx.split(model)
        self._encode, self._decode = _steps(graph)

    def read(self, tokens_T: np.ndarray, memory: Memory, choose: Choose) -> Reading:
        """The losses of a document whose chunks go into `memory` as they are read.

        Raises:
            ValueError: a chunk was given more different neighbours than the reader can take.
        """
        stride, chunks = self.shape.stride_tokens, self.shape.stride_chunks
        count = max(1, -(-(len(tokens_T) - 1) // stride))
        inputs, targets = np.zeros((count, stride), np.int32), np.zeros((count, stride), np.int32)
        inputs.reshape(-1)[: len(tokens_T)] = tokens_T[: count * stride]
        targets.reshape(-1)[: len(tokens_T) - 1] = tokens_T[1:]
        lower, upper = lower_past(self.shape), upper_past(self.shape, self.settings, self.slots)
        losses, gates = [], []
        for number in range(count):
            encoded, lower = self._encode(self._parameters, inputs[number][None], lower)
            queries_CD, keys_CD = (None if x is None else np.asarray(x)[0] for x in (encoded.queries_BCD, encoded.keys_BCD))
            memory.add(keys_CD, np.asarray(encoded.chunks_BCMD)[0])
            fetched = self._fetch(memory, choose(number * chunks, queries_CD))
            loss, gate, upper = self._decode(self._parameters, encoded, fetched, targets[number], upper)
            losses.append(loss)
            gates.append(gate)
        return Reading(np.concatenate(losses, axis=1)[:, : len(tokens_T) - 1], np.concatenate(gates, axis=1))

    def _fetch(self, memory: Memory, neighbours_SCN: np.ndarray) -> Fetched:
        ids_CU, slots_SCN = distinct_neighbours(neighbours_SCN, self.distinct)
        return Fetched(jnp.asarray(memory.pairs(ids_CU)), jnp.asarray(slots_SCN))


def distinct_neighbours(neighbours_SCN: np.ndarray, distinct: int) -> tuple[np.ndarray, np.ndarray]:
    """[C, U] the different neighbours of each chunk, and [S, C, N] where among them each setting's stand; -1 for none in both.

    Raises:
        ValueError: there are more than `distinct`.
    """
    ids_CU, slots_SCN = np.full((neighbours_SCN.shape[1], distinct), -1, np.int32), np.full_like(neighbours_SCN, -1)
    for chunk, ids_SN in enumerate(np.moveaxis(neighbours_SCN, 1, 0)):
        named = np.unique(ids_SN[ids_SN >= 0])
        if len(named) > distinct:
            raise ValueError(f"a chunk has {len(named)} different neighbours, the reader takes {distinct}: give it more")
        ids_CU[chunk, : len(named)] = named
        slots_SCN[:, chunk] = np.where(ids_SN >= 0, np.searchsorted(named, ids_SN), -1)
    return ids_CU, slots_SCN


def lower_past(shape: Shape) -> tuple[Window, ...]:
    """What the lower decoder goes on from at the start of a document."""
    return _windows(shape, 1, shape.lower_layers)


def upper_past(shape: Shape, settings: int, slots: int) -> UpperPast:
    """What the upper decoder goes on from at the start of a document."""
    heads = (settings, shape.gate_window * slots, shape.heads, shape.head_size)
    earlier = EarlierNeighbours(jnp.zeros(heads), jnp.zeros(heads), jnp.zeros(heads[:2], bool))
    states = jnp.zeros((settings, 1, slots, 2 * shape.chunk_tokens, shape.width), shape.dtype)
    last = FusedNeighbours(states, jnp.zeros(states.shape[:3], bool))
    return UpperPast(_windows(shape, settings, shape.layers - shape.lower_layers), earlier, last)


def _windows(shape: Shape, rows: int, layers: int) -> tuple[Window, ...]:
    empty = jnp.zeros((rows, shape.stride_tokens, shape.heads, shape.head_size), shape.dtype)
    return (Window(empty, empty, jnp.zeros((), bool)),) * layers


@cache
def _steps(graph: nnx.GraphDef[LanguageModel]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Both compiled steps of an architecture, shared by all of its readers; bound to it, because its hash takes milliseconds."""

    def encode(parameters: Any, tokens_BW: Array, past: tuple[Window, ...]) -> tuple[Encoded, tuple[Window, ...]]:
        return nnx.merge(graph, parameters).encode_segment(tokens_BW, past)

    def decode(
        parameters: Any, encoded: Encoded, fetched: Fetched, targets_W: Array, past: UpperPast
    ) -> tuple[TokenLosses, Gates, UpperPast]:
        model = nnx.merge(graph, parameters)
        final_SWD, gates_SCN, following = model.decode_segment(encoded, fetched, past)
        return model.token_losses(final_SWD, jnp.broadcast_to(targets_W, final_SWD.shape[:2])), gates_SCN, following

    return jax.jit(encode), jax.jit(decode)
