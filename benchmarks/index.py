"""The index of a corpus at size: keys in a file, an approximate index built over them and searched, in one
process with one thread.

The keys are drawn in clusters (one a hundred keys), 384 wide as those of MiniLM; queries are keys with noise,
so that each has near ones. For a trial: KEYS=100000 python -m benchmarks.index; KIND=hnsw takes the other
index.

Figures: seconds to write keys, to build and to read back; milliseconds a query, approximate and exact;
recall@10 of the approximate search; GiB of the index, and the most that the process held (pages of the mapped
files that are in memory count).
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.result import Bar, show
from stages.index.vectors import VectorIndex, build, read_graph, write_graph

KEYS, WIDTH, QUERIES, BLOCK = int(os.environ.get("KEYS", 1_000_000)), 384, 100, 50_000
KIND = os.environ.get("KIND", "ivf_pq")
BARS = [Bar("peak_rss_gib", 4.0, at_most=True), Bar("recall_at_10", 0.9, at_most=False)]


def write_keys(path: Path) -> np.ndarray:
    """The keys in a file, block by block."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((max(1, KEYS // 100), WIDTH), np.float32)
    keys = np.lib.format.open_memmap(path, "w+", np.float32, (KEYS, WIDTH))
    for first in range(0, KEYS, BLOCK):
        count = min(BLOCK, KEYS - first)
        keys[first : first + count] = centres[
            rng.integers(len(centres), size=count)
        ] + 0.5 * rng.standard_normal((count, WIDTH), np.float32)
    keys.flush()
    return np.load(path, mmap_mode="r")


def main() -> None:
    """Measure and show."""
    load, took, begin = os.getloadavg()[0], {}, time.perf_counter()

    def lap(name: str) -> None:
        nonlocal begin
        took[name], begin = time.perf_counter() - begin, time.perf_counter()

    with tempfile.TemporaryDirectory() as folder:
        keys = write_keys(Path(folder) / "keys.npy")
        lap("write_s")
        graph = build(keys, "hnsw" if KIND == "hnsw" else "ivf_pq", "l2", 0)
        assert graph is not None
        write_graph(graph, Path(folder) / "graph")
        del graph
        lap("build_s")
        index = VectorIndex(keys, "l2", read_graph(Path(folder) / "graph"))
        lap("read_s")
        rng = np.random.default_rng(1)
        queries = keys[rng.integers(KEYS, size=QUERIES)] + 0.5 * rng.standard_normal(
            (QUERIES, WIDTH), np.float32
        )
        found = index.search(queries, 10).ids_Qk
        lap("approximate")
        exact = index.search_exactly(queries, 10).ids_Qk
        lap("exact")
        size = (Path(folder) / "graph").stat().st_size
    recall = float(
        np.mean([len(np.intersect1d(ours, theirs)) / 10 for ours, theirs in zip(found, exact, strict=True)])
    )
    figures = {"keys": float(KEYS), "recall_at_10": recall, "index_gib": size / 2**30}
    figures["peak_rss_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    figures |= {f"{name}_ms_a_query": 1000 * took.pop(name) / QUERIES for name in ("approximate", "exact")}
    show("index", figures | took, BARS, load)


if __name__ == "__main__":
    main()
