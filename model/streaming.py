"""Documents of any length, read one stride after the other, with neighbours from all of their past (paper
section 3.4).

What passes from stride to stride is explicit: the state of each layer, the gate's view of earlier neighbours,
and the neighbours of the last chunk. Losses are those of the training forward over the whole document with
the same neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from model.agreement import LONGEST, NOTHING
from model.config import ModelConfig
from model.decoder import State, restart
from model.language_model import Encoded, Fetched, LanguageModel
from model.passages import Passages
from model.retrieval_index import RetrievalIndex
from model.shapes import RowMask, TokenLosses

ChooseNeighbours = Callable[[int, np.ndarray | None], np.ndarray]
"""(number of the first chunk of a stride, queries [C, E] or None) -> neighbours [S, C, N] of each setting, -1
for none.
"""


class Document(NamedTuple):
    """What is to be read: tokens, the memory that its neighbours are fetched from, and who chooses them."""

    tokens_T: np.ndarray
    memory: RetrievalIndex | Passages
    choose: ChooseNeighbours


class Reading(NamedTuple):
    """What reading a document gives, for each setting: the loss in nats of every token but the first, and the
    gate of every neighbour.
    """

    losses_ST: np.ndarray
    gates_SCN: np.ndarray


class _Row:
    """One row of the batch and the document that is read in it."""

    def __init__(self, number: int, document: Document, config: ModelConfig) -> None:
        self.number, self.document, self.stride = number, document, 0
        tokens_T, size = document.tokens_T, config.stride_tokens
        self.strides = max(1, -(-(len(tokens_T) - 1) // size))
        self.inputs, self.targets = (
            np.zeros((self.strides, size), np.int32),
            np.zeros((self.strides, size), np.int32),
        )
        self.inputs.reshape(-1)[: len(tokens_T)] = tokens_T[: self.strides * size]
        self.targets.reshape(-1)[: len(tokens_T) - 1] = tokens_T[1:]
        self.read: list[tuple[Array, Array]] = []

    def texts(self, ids_CU: np.ndarray, size: int) -> np.ndarray:
        """[C, U, R + LONGEST] the text of each chunk and of the one after it, and the tokens before; of some
        pair where there is none.
        """
        text = np.concatenate((np.full(LONGEST, NOTHING, np.int32), self.inputs.reshape(-1)))
        places = np.maximum(ids_CU, 0)[..., None] * size + np.arange(LONGEST + 2 * size)
        return text[np.minimum(places, len(text) - 1)]

    def reading(self, row: int) -> Reading:
        losses_ST, gates_SCN = (
            np.concatenate([np.asarray(x)[row] for x in parts], axis=1)
            for parts in zip(*self.read, strict=True)
        )
        return Reading(losses_ST[:, : len(self.document.tokens_T) - 1], gates_SCN)


class StreamingReader:
    """Reads `rows` documents side by side with one model, in S settings of at most N neighbours, of which a
    chunk has at most U different.

    Its two steps are compiled once, whatever the documents' lengths; a row whose document has ended takes the
    next.
    """

    def __init__(self, model: LanguageModel, settings: int, slots: int, distinct: int, rows: int = 1) -> None:
        self.config, self.rows, self.settings, self.slots, self.distinct = (
            model.config,
            rows,
            settings,
            slots,
            distinct,
        )
        graph, self._parameters = nnx.split(model)
        self._encode, self._decode = _steps(graph)
        self._start = jax.jit(
            lambda: (model.start_encoding(rows), model.start_decoding(rows * settings, slots))
        )()

    def read(self, documents: Iterator[Document]) -> Iterator[tuple[int, Reading]]:
        """Number and reading of each document, as they end. A document is taken from the iterator when there
        is room for it.

        Raises:
            ValueError: a chunk was given more different neighbours than the reader can take.
        """
        lower, upper = self._start
        numbered = enumerate(documents)
        places: list[_Row | None] = [None] * self.rows
        while True:
            places = [place or self._next(numbered) for place in places]
            if not any(places):
                return
            lower, upper = self._stride(places, lower, upper)
            for row, place in enumerate(places):
                if place and place.stride == place.strides:
                    yield place.number, place.reading(row)
                    places[row] = None

    def _next(self, numbered: Iterator[tuple[int, Document]]) -> _Row | None:
        following = next(numbered, None)
        return None if following is None else _Row(*following, self.config)

    def _stride(self, places: list[_Row | None], lower: State, upper: State) -> tuple[State, State]:
        starts_B = np.array([place is not None and not place.stride for place in places])
        idle = np.zeros(self.config.stride_tokens, np.int32)
        inputs_BW, targets_BW = (
            np.stack([getattr(p, name)[p.stride] if p else idle for p in places])
            for name in ("inputs", "targets")
        )
        encoded, lower = self._encode(self._parameters, inputs_BW, starts_B, lower)
        fetched = self._fetch(places, encoded)
        losses_BSW, gates_BSCN, upper = self._decode(
            self._parameters, encoded, fetched, targets_BW, starts_B, upper
        )
        for place in places:
            if place:
                # Left on the device, so that the next stride is begun while this one is computed.
                place.read.append((losses_BSW, gates_BSCN))
                place.stride += 1
        return lower, upper

    def _fetch(self, places: list[_Row | None], encoded: Encoded) -> Fetched:
        """Let the memories take in what was encoded, and fetch the neighbours that are chosen then."""
        states_BCMD = np.asarray(encoded.chunks_BCMD)
        queries_BCE, keys_BCE = (
            None if x is None else np.asarray(x) for x in (encoded.queries_BCE, encoded.keys_BCE)
        )
        chunks, size = states_BCMD.shape[1:3]
        pairs_BCUR: list[np.ndarray | None] = [None] * self.rows
        text_BCUT = np.full((self.rows, chunks, self.distinct, LONGEST + 2 * size), NOTHING, np.int32)
        slots_BSCN = np.full((self.rows, self.settings, chunks, self.slots), -1, np.int32)
        for row, place in enumerate(places):
            if place:
                memory = place.document.memory
                memory.add(None if keys_BCE is None else keys_BCE[row], states_BCMD[row])
                neighbours_SCN = place.document.choose(
                    place.stride * chunks, None if queries_BCE is None else queries_BCE[row]
                )
                ids_CU, slots_BSCN[row] = distinct_neighbours(neighbours_SCN, self.distinct)
                pairs_BCUR[row] = memory.pairs(ids_CU)
                if self.config.copying and isinstance(memory, RetrievalIndex):
                    text_BCUT[row] = place.texts(ids_CU, size)
        idle = np.zeros_like(next(pairs for pairs in pairs_BCUR if pairs is not None))
        pairs = jnp.asarray(np.stack([idle if pairs is None else pairs for pairs in pairs_BCUR]))
        return Fetched(
            pairs, jnp.asarray(slots_BSCN), jnp.asarray(text_BCUT) if self.config.copying else None
        )


def distinct_neighbours(neighbours_SCN: np.ndarray, distinct: int) -> tuple[np.ndarray, np.ndarray]:
    """[C, U] the different neighbours of each chunk, and [S, C, N] where among them each setting's stand; -1
    for none in both.

    Raises:
        ValueError: there are more than `distinct`.
    """
    ids_CU, slots_SCN = (
        np.full((neighbours_SCN.shape[1], distinct), -1, np.int32),
        np.full_like(neighbours_SCN, -1),
    )
    for chunk, ids_SN in enumerate(np.moveaxis(neighbours_SCN, 1, 0)):
        named = np.unique(ids_SN[ids_SN >= 0])
        if len(named) > distinct:
            raise ValueError(
                f"a chunk has {len(named)} different neighbours, the reader takes {distinct}: give it more"
            )
        ids_CU[chunk, : len(named)] = named
        slots_SCN[:, chunk] = np.where(ids_SN >= 0, np.searchsorted(named, ids_SN), -1)
    return ids_CU, slots_SCN


@cache
def _steps(graph: nnx.GraphDef[LanguageModel]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Both compiled steps of an architecture, shared by all of its readers; bound to it, because its hash
    takes milliseconds.
    """

    def encode(parameters: Any, tokens_BW: Array, starts_B: RowMask, past: State) -> tuple[Encoded, State]:
        model = nnx.merge(graph, parameters)
        return model.encode_segment(tokens_BW, restart(past, model.start_encoding(len(starts_B)), starts_B))

    def decode(
        parameters: Any, encoded: Encoded, fetched: Fetched, targets_BW: Array, starts_B: RowMask, past: State
    ) -> tuple[TokenLosses, Array, State]:
        model = nnx.merge(graph, parameters)
        batch, settings, _, slots = fetched.slots_BSCN.shape
        start = model.start_decoding(batch * settings, slots)
        decoded = model.decode_segment(encoded, fetched, restart(past, start, jnp.repeat(starts_B, settings)))
        losses = model.token_losses(decoded.final_XWD, jnp.repeat(targets_BW, settings, axis=0))
        return (
            losses.reshape(batch, settings, -1),
            decoded.gates_XCN.reshape(fetched.slots_BSCN.shape),
            decoded.following,
        )

    return jax.jit(encode), jax.jit(decode)
