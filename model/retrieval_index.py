"""What a document remembers of its own past: keys of its chunks in a Faiss index, searched causally, and
their states (section 3.4).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Protocol

import faiss
import jax.numpy as jnp
import numpy as np
from numpy.typing import DTypeLike

from data_contracts.eligibility import last_eligible
from model.pair_features import weighed_in_text

HALVES = {"float32": np.float16, "bfloat16": jnp.bfloat16}
IN_MEMORY_BYTES = 2 * 2**30
HNSW_LINKS, HNSW_SEARCH = 32, 128
MEASURED = 16  # of so many approximate searches one is repeated exactly, to know the recall

# A stride has few queries, and threads wait for each other longer than a search takes.
faiss.omp_set_num_threads(1)


class Sizes(Protocol):
    """Of the chunks in a memory: what `ModelConfig` has, and less. Lengths in tokens, but `stride_chunks`."""

    @property
    def width(self) -> int: ...
    @property
    def chunk_tokens(self) -> int: ...
    @property
    def stride_chunks(self) -> int: ...
    @property
    def dtype(self) -> str: ...
    @property
    def lexical_start(self) -> bool: ...
    @property
    def pair_features(self) -> bool: ...
    @property
    def retrieval_width(self) -> int: ...


class RetrievalIndex:
    """All earlier chunks of one document, however far back: keys in float32 on the CPU, token states in half
    precision.

    States are float16 or, for a model of that type, bfloat16, which is exact; `dtype` is another choice.
    Those of more than 2 GiB lie in a file in `scratch` that is gone with the process. `index` is "exact" (all
    inner products) or "hnsw" (a graph of neighbours, approximate), whose `recall` is measured while it is
    used.
    """

    def __init__(
        self, config: Sizes, chunks: int, scratch: Path, index: str = "exact", dtype: DTypeLike | None = None
    ) -> None:
        self.stride_chunks, self.scale = config.stride_chunks, config.width**-0.5
        sizes = (chunks, config.chunk_tokens, config.width)
        self._states_CMD = _array(sizes, np.dtype(dtype or HALVES[config.dtype]), scratch)
        self._held, self.dtype = 0, self._states_CMD.dtype
        self._numbered, self._pairs, self._width = config.lexical_start, config.pair_features, config.width
        if self._pairs and index != "exact":
            raise ValueError(
                f"index is {index!r}, must be exact: features of pairs are no inner products; set"
                " evaluation.index to exact"
            )
        self._flat, self._index = _indexes(index, config.retrieval_width)
        self._waiting_CE = np.empty((0, config.retrieval_width), np.float32)
        self._searches = self._asked = self._found = 0

    def add(self, keys_CE: np.ndarray | None, states_CMD: np.ndarray) -> None:
        """The next chunks of the document, with their keys if the system has any.

        Raises:
            ValueError: a state is too large for half precision.
        """
        largest = np.finfo(self._states_CMD.dtype).max if self._states_CMD.dtype == np.float16 else np.inf
        if self._states_CMD.size and np.abs(states_CMD).max() > largest:
            raise ValueError(
                f"a token state is over {largest:g}, the most that float16 holds: train with training.dtype"
                " bfloat16"
            )
        self._states_CMD[self._held : self._held + len(states_CMD)] = states_CMD[
            : max(0, len(self._states_CMD) - self._held)
        ]
        self._held += len(states_CMD)
        if keys_CE is not None:
            keys_CE = np.array(keys_CE, np.float32)
            # the last feature is the chunk's number in its stride (model/lexical_start.py)
            if self._numbered:
                keys_CE[:, -1] += self._index.ntotal + len(self._waiting_CE)
            self._waiting_CE = np.concatenate((self._waiting_CE, keys_CE))

    def search(self, first: int, queries_CE: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """[C, count] the eligible chunks of largest s_q for chunks `first`, `first` + 1, ... of one stride,
        best first, and s_q.

        Ties go to the earlier chunk; -1 and 0 where there are fewer. When a stride is searched, the index
        holds exactly the chunks eligible for it.
        """
        eligible = max(0, int(last_eligible(first, self.stride_chunks)) + 1)
        ready = eligible - self._index.ntotal
        if ready > 0:
            self._index.add(np.ascontiguousarray(self._waiting_CE[:ready]))
            self._waiting_CE = self._waiting_CE[ready:]
        if self._pairs:
            return self.search_within(first, queries_CE, count, first + len(queries_CE))
        ids, scores = (
            np.full((len(queries_CE), count), -1, np.int32),
            np.zeros((len(queries_CE), count), np.float32),
        )
        if eligible:
            queries_CE = np.ascontiguousarray(queries_CE, np.float32)
            best, found = best_first(self._index, queries_CE, min(count, eligible))
            self._measure(queries_CE, found)
            ids[:, : found.shape[1]], scores[:, : found.shape[1]] = (
                found,
                np.where(found >= 0, best * self.scale, 0.0),
            )
        return ids, scores

    def search_within(
        self, first: int, queries_CE: np.ndarray, count: int, reach: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Like `search`, among the last `reach` chunks before each query; exact, ties to the earlier chunk.
        Call it after `search`.
        """
        begin = max(0, min(first - reach, self._index.ntotal))
        chunk = np.arange(begin, self._index.ntotal)
        query = first + np.arange(len(queries_CE))[:, None]
        scores_CJ = np.where(
            chunk >= query - reach, self._scores(first, np.asarray(queries_CE, np.float32), begin), -np.inf
        )
        order = np.argsort(-scores_CJ, axis=1, kind="stable")[:, :count]
        best = np.take_along_axis(scores_CJ, order, axis=1)
        ids, scores = (
            np.full((len(queries_CE), count), -1, np.int32),
            np.zeros((len(queries_CE), count), np.float32),
        )
        ids[:, : order.shape[1]] = np.where(best > -np.inf, begin + order, -1)
        scores[:, : order.shape[1]] = np.where(best > -np.inf, best, 0.0)
        return ids, scores

    def pairs(self, ids_X: np.ndarray) -> np.ndarray:
        """[X, R, D] the states of each chunk and of the one after it; of some pair where the number is -1."""
        ids = np.maximum(ids_X, 0)
        return np.concatenate(
            (self._states_CMD[ids], self._states_CMD[np.minimum(ids + 1, len(self._states_CMD) - 1)]), axis=-2
        )

    @property
    def recall(self) -> float | None:
        """Share of what exact searches find that the index found, where both were made; None before the first
        such search.
        """
        return self._found / self._asked if self._asked else None

    def _scores(self, first: int, queries_CE: np.ndarray, begin: int) -> np.ndarray:
        """[C, J] s_q of chunks `first`, `first` + 1, ... and those that the index holds from `begin` on."""
        keys_JE = self._flat.reconstruct_n(begin, self._index.ntotal - begin)
        if not self._pairs:
            return queries_CE @ keys_JE.T * self.scale
        width = self._width
        text_JM = np.concatenate((keys_JE, self._waiting_CE[:1]))[:, width:]
        return queries_CE[:, :width] @ keys_JE[:, :width].T * self.scale + weighed_in_text(
            queries_CE[:, width:], first, text_JM, begin
        )

    def _measure(self, queries_CE: np.ndarray, found_CK: np.ndarray) -> None:
        if self._index is not self._flat and self._searches % MEASURED == 0:
            _, exact_CK = best_first(self._flat, queries_CE, found_CK.shape[1])
            self._asked += exact_CK.size
            self._found += sum(len(np.intersect1d(*rows)) for rows in zip(found_CK, exact_CK, strict=True))
        self._searches += 1


def best_first(index: faiss.Index, queries_CE: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(scores, ids), [C, count]: what `index` finds, best first, and among equal scores the lowest ids, as
    `jax.lax.top_k` has them.

    Faiss keeps any of those that share the last place, so more is asked for until the last found is worse
    than that.
    """
    asked = min(count + 1, index.ntotal)
    best_CK, found_CK = index.search(queries_CE, asked)
    while asked < index.ntotal and ((best_CK[:, -1] == best_CK[:, count - 1]) & (found_CK[:, -1] >= 0)).any():
        asked = min(2 * asked, index.ntotal)
        best_CK, found_CK = index.search(queries_CE, asked)
    order_CK = np.lexsort((found_CK, -best_CK))[:, :count]
    return np.take_along_axis(best_CK, order_CK, axis=1), np.take_along_axis(found_CK, order_CK, axis=1)


def _array(sizes: tuple[int, ...], dtype: np.dtype, scratch: Path) -> np.ndarray:
    if np.prod(sizes, dtype=np.int64) * dtype.itemsize <= IN_MEMORY_BYTES:
        return np.zeros(sizes, dtype)
    with tempfile.TemporaryFile(dir=scratch) as file:
        return np.memmap(file, dtype, "w+", shape=sizes)


def _indexes(kind: str, width: int) -> tuple[faiss.Index, faiss.Index]:
    """The flat index that holds all keys, and the one to search, which may be the same."""
    if kind == "exact":
        flat = faiss.IndexFlatIP(width)
        return flat, flat
    if kind == "hnsw":
        graph = faiss.IndexHNSWFlat(width, HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efSearch = HNSW_SEARCH
        return faiss.downcast_index(graph.storage), graph
    raise ValueError(f"index is {kind!r}, must be exact or hnsw")
