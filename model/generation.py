"""A document that goes on: the distribution of its next token, with neighbours from all of its past.

The stride in which the document ends is read anew for each token, as far as it is written, just as an
evaluation reads it. So what text is drawn from is what was evaluated, at the price of a pass over one stride
a token. When a stride is full, the states after it and its chunks are kept, and it is never read again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from model.agreement import LONGEST, NOTHING
from model.decoder import State
from model.language_model import Encoded, Fetched, LanguageModel
from model.retrieval_index import RetrievalIndex

Choose = Callable[[int, np.ndarray | None, np.ndarray], np.ndarray]
"""(number of the first chunk of a stride, its queries [C, E] or None, all tokens so far) -> its neighbours
[C, N], -1 for none. Those of a chunk that is not whole yet are read by nobody and may be anything.
"""


class _Read(NamedTuple):
    """A stride as far as it is written: the next token's distribution, what it read, and what comes after
    it.
    """

    log_probs_V: np.ndarray
    neighbours_CN: np.ndarray
    encoded: Encoded
    lower: State
    upper: State


class Continuation:
    """One document, read and written by one model.

    `memory` has room for all chunks that there will be. `slots` is the number of neighbours of a chunk.
    """

    def __init__(self, model: LanguageModel, memory: RetrievalIndex, choose: Choose, slots: int) -> None:
        self._config, self._memory, self._choose, self._slots = model.config, memory, choose, slots
        graph, self._parameters = nnx.split(model)
        self._encode, self._decode = _steps(graph)
        self._lower, self._upper = model.start_encoding(1), model.start_decoding(1, slots)
        self._written = 0  # tokens of whole strides, whose states are kept
        self.tokens: list[int] = []
        self.neighbours: list[np.ndarray] = []

    @property
    def chunk_tokens(self) -> int:
        """Tokens of a chunk."""
        return self._config.chunk_tokens

    def take(self, tokens: Sequence[int]) -> None:
        """Go on with these tokens. `neighbours` are then those of all chunks of strides that are full."""
        for token in tokens:
            if len(self.tokens) - self._written == self._config.stride_tokens:
                self._keep(self._read())
            self.tokens.append(int(token))

    def log_probs(self) -> np.ndarray:
        """float32 [V], log P(next token | all tokens so far), in nats.

        Raises:
            ValueError: there is no token yet.
        """
        if not self.tokens:
            raise ValueError("a document without a token has no next one: take its first token")
        return self._read().log_probs_V

    def chosen(self) -> list[np.ndarray]:
        """The neighbours of every whole chunk so far, -1 for none."""
        last = [] if not self.tokens else [*self._read().neighbours_CN]
        return [*self.neighbours, *last][: len(self.tokens) // self._config.chunk_tokens]

    def _read(self) -> _Read:
        size, stride = self._config.chunk_tokens, self._config.stride_tokens
        segment = np.zeros((1, stride), np.int32)
        segment[0, : len(self.tokens) - self._written] = self.tokens[self._written :]
        encoded, lower = self._encode(self._parameters, segment, self._lower)
        queries = None if encoded.queries_BCE is None else np.asarray(encoded.queries_BCE)[0]
        neighbours_CN = self._choose(self._written // size, queries, np.array(self.tokens, np.int32))
        last = np.int32(len(self.tokens) - self._written - 1)
        log_probs, upper = self._decode(
            self._parameters, encoded, self._fetched(neighbours_CN), last, self._upper
        )
        return _Read(np.asarray(log_probs), neighbours_CN, encoded, lower, upper)

    def _keep(self, read: _Read) -> None:
        keys = read.encoded.keys_BCE
        self._memory.add(
            None if keys is None else np.asarray(keys)[0], np.asarray(read.encoded.chunks_BCMD)[0]
        )
        self.neighbours += [*read.neighbours_CN]
        self._lower, self._upper, self._written = read.lower, read.upper, len(self.tokens)

    def _fetched(self, neighbours_CN: np.ndarray) -> Fetched:
        """Each neighbour in a slot of its own, with its text where heads are told what agrees."""
        slots = np.where(neighbours_CN >= 0, np.arange(self._slots), -1).astype(np.int32)
        text = self._texts(neighbours_CN) if self._config.copying else None
        return Fetched(
            jnp.asarray(self._memory.pairs(neighbours_CN))[None], jnp.asarray(slots)[None, None], text
        )

    def _texts(self, neighbours_CN: np.ndarray) -> Array:
        """[1, C, N, R + LONGEST] the text of each neighbour and of the chunk after it, and the tokens before
        it; of some pair where there is none.
        """
        text = np.concatenate((np.full(LONGEST, NOTHING), self.tokens)).astype(np.int32)
        size = self._config.chunk_tokens
        places = np.maximum(neighbours_CN, 0)[..., None] * size + np.arange(LONGEST + 2 * size)
        return jnp.asarray(text[np.minimum(places, len(text) - 1)])[None]


def drawn(log_probs_V: np.ndarray, temperature: float, top_p: float, rng: np.random.Generator) -> int:
    """A token by chance from the fewest most likely ones that hold `top_p` of the probability (nucleus
    sampling, Holtzman et al., arXiv 1904.09751); with temperature 0 the most likely one.

    The temperature counts first, as in common implementations: probabilities are those of
    log p / temperature.
    """
    if temperature == 0:
        return int(np.argmax(log_probs_V))
    below_best = log_probs_V.astype(np.float64) - log_probs_V.max()  # 0 for the best at any temperature
    probabilities = np.exp(below_best / temperature)
    probabilities /= probabilities.sum()
    order = np.argsort(-probabilities, kind="stable")
    held = np.cumsum(probabilities[order])
    order = order[: int(np.searchsorted(held, min(top_p, held[-1]))) + 1]
    return int(rng.choice(order, p=probabilities[order] / probabilities[order].sum()))


@cache
def _steps(graph: nnx.GraphDef[LanguageModel]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Both compiled steps of an architecture, shared by all documents."""

    def encode(parameters: Any, tokens_BW: Array, past: State) -> tuple[Encoded, State]:
        return nnx.merge(graph, parameters).encode_segment(tokens_BW, past)

    def decode(
        parameters: Any, encoded: Encoded, fetched: Fetched, last: Array, past: State
    ) -> tuple[Array, State]:
        model = nnx.merge(graph, parameters)
        decoded = model.decode_segment(encoded, fetched, past)
        return model.log_probs(decoded.final_XWD[0, last]), decoded.following

    return jax.jit(encode), jax.jit(decode)
