"""Nearest vectors among any number of them, which lie in a file: exact, or by an approximate index whose
recall is measured.

Nothing here knows what the vectors stand for: keys are float32 [n, d], and what is found are their numbers, 0
to n - 1. Whatever finds them, distances are computed again from the vectors themselves, in one fixed order,
so that equal vectors give equal results.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import faiss
import numpy as np

Metric = Literal["l2", "inner_product"]
Kind = Literal["exact", "ivf_pq", "hnsw"]

BLOCK = 65_536  # keys compared at once
TRAINED_ON = 262_144  # keys at most that k-means sees
REFINED = 8  # times as many are fetched from an approximate index, of which the best by exact values are kept
LINKS, BUILD_SEARCH = 32, 80
FAISS_METRIC = {"l2": faiss.METRIC_L2, "inner_product": faiss.METRIC_INNER_PRODUCT}

# Threads that add to a graph at the same time would make it depend on chance.
faiss.omp_set_num_threads(1)


class Found(NamedTuple):
    """[Q, k] numbers of keys, best first and ties to the lower number, -1 where there are no more; and their
    squared distances, or inner products."""

    ids_Qk: np.ndarray
    values_Qk: np.ndarray


class VectorIndex:
    """Search among `keys_ND`, which may be a memory map: only blocks of it are read.

    `graph` is what `build` made of the same keys, None for exact search; `probes` says how much of it is
    looked at: cells of ivf_pq, or the width of the search in hnsw.
    """

    def __init__(
        self, keys_ND: np.ndarray, metric: Metric = "l2", graph: faiss.Index | None = None, probes: int = 64
    ) -> None:
        if graph is not None and graph.ntotal != len(keys_ND):
            raise ValueError(
                f"the index holds {graph.ntotal:,} keys, there are {len(keys_ND):,}: build it again"
            )
        self.keys_ND, self.metric, self.graph = keys_ND, metric, graph
        if graph is not None:
            parameters = faiss.ParameterSpace()
            parameters.set_index_parameter(
                graph, "nprobe" if isinstance(graph, faiss.IndexIVF) else "efSearch", probes
            )

    def search(self, queries_QD: np.ndarray, count: int) -> Found:
        """The `count` best keys of each query; approximate if there is a graph.

        Raises:
            ValueError: the queries are of another width, or not finite.
        """
        queries_QD = self._checked(queries_QD)
        if self.graph is None:
            return self.search_exactly(queries_QD, count)
        _, ids_QK = self.graph.search(queries_QD, min(REFINED * count, len(self.keys_ND)))
        found = self._in_order(queries_QD, ids_QK)
        return Found(found.ids_Qk[:, :count], found.values_Qk[:, :count])

    def search_exactly(self, queries_QD: np.ndarray, count: int) -> Found:
        """The same, looking at every key. Raises like `search`."""
        queries_QD = self._checked(queries_QD)
        best: np.ndarray | None = None
        for first in range(0, len(self.keys_ND), BLOCK):
            block = np.ascontiguousarray(self.keys_ND[first : first + BLOCK])
            _, ids = faiss.knn(queries_QD, block, min(count, len(block)), metric=FAISS_METRIC[self.metric])
            found = first + ids
            best = found if best is None else np.concatenate((best, found), axis=1)
            best = self._in_order(queries_QD, best).ids_Qk[:, :count]
        return self._in_order(queries_QD, np.empty((len(queries_QD), 0), np.int64) if best is None else best)

    def recall(self, queries_QD: np.ndarray, count: int) -> float:
        """Share of what exact search finds that `search` finds."""
        found, exact = (search(queries_QD, count).ids_Qk for search in (self.search, self.search_exactly))
        return float(
            np.mean(
                [
                    len(np.intersect1d(ours, theirs)) / len(theirs)
                    for ours, theirs in zip(found, exact, strict=True)
                ]
            )
        )

    def _checked(self, queries_QD: np.ndarray) -> np.ndarray:
        if queries_QD.shape[1] != self.keys_ND.shape[1]:
            raise ValueError(
                f"queries have {queries_QD.shape[1]} values, keys {self.keys_ND.shape[1]}: encode both with"
                " one encoder"
            )
        if not np.isfinite(queries_QD).all():
            raise ValueError("a query is not finite: look at the encoder that made it")
        return np.ascontiguousarray(queries_QD, np.float32)

    def _in_order(self, queries_QD: np.ndarray, ids_Qk: np.ndarray) -> Found:
        """Values computed anew and sorted; float64 sums, rounded, do not depend on how many queries came
        together.
        """
        values_Qk = np.full(ids_Qk.shape, np.inf, np.float32)
        for query, ids in enumerate(ids_Qk):
            keys = self.keys_ND[ids[ids >= 0]].astype(np.float64)
            wide = queries_QD[query].astype(np.float64)
            known = ((keys - wide) ** 2).sum(axis=1) if self.metric == "l2" else -(keys * wide).sum(axis=1)
            values_Qk[query, ids >= 0] = known
        order_Qk = np.lexsort((ids_Qk, values_Qk), axis=1)
        ids_Qk, values_Qk = (
            np.take_along_axis(ids_Qk, order_Qk, 1),
            np.take_along_axis(values_Qk, order_Qk, 1),
        )
        return Found(ids_Qk, values_Qk if self.metric == "l2" else -values_Qk)


def build(keys_ND: np.ndarray, kind: Kind, metric: Metric, seed: int) -> faiss.Index | None:
    """The approximate index of a kind over all keys, added block by block; None for `exact`.

    ivf_pq keeps a code of at most 64 bytes a key, in 4 sqrt(n) cells; hnsw keeps the keys themselves with 32
    links each.
    """
    count, width = keys_ND.shape
    if kind == "exact":
        return None
    if kind == "hnsw":
        graph: Any = faiss.IndexHNSWFlat(width, LINKS, FAISS_METRIC[metric])
        graph.hnsw.efConstruction = BUILD_SEARCH
    else:
        cells = max(1, min(int(4 * count**0.5), count // 39))
        codes = next(codes for codes in range(min(64, width), 0, -1) if width % codes == 0)
        coarse: Any = faiss.IndexFlat(width, FAISS_METRIC[metric])
        graph = faiss.IndexIVFPQ(coarse, width, cells, codes, 8 if count >= 9984 else 4, FAISS_METRIC[metric])
        graph.own_fields = True
        coarse.this.disown()
        graph.cp.seed = graph.pq.cp.seed = seed
        sample = np.sort(np.random.default_rng(seed).permutation(count)[:TRAINED_ON])
        graph.train(np.ascontiguousarray(keys_ND[sample]))
    for first in range(0, count, BLOCK):
        graph.add(np.ascontiguousarray(keys_ND[first : first + BLOCK]))
    return graph


def write_graph(graph: faiss.Index, path: Path) -> None:
    """Put an approximate index into a file."""
    faiss.write_index(graph, str(path))


def read_graph(path: Path) -> faiss.Index:
    """The approximate index in a file, mapped into memory where Faiss can."""
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
