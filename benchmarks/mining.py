"""Mining one document against rank-bm25 and bm25s, its cost as documents grow, its memory, and what a second
worker brings.

The document is the Python standard library in tokens of a byte-level BPE of its own; stride 16, document
scope, top 20. Everything but the workers is measured in fresh processes whose libraries may use one thread. A
query of ours is charged its share of the whole stage function, index and table included; a query of a peer
only its scoring (and bm25s's selection), on an index built beforehand.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
from rank_bm25 import BM25Okapi

from benchmarks.result import Bar, show
from data_contracts.contract import Artifact, commit, open_artifact, write_shard
from data_contracts.eligibility import last_eligible
from data_contracts.tokens import CHUNKS
from stages.mining.mining import STAGE, mine
from stages.parameters import Geometry, Mining, Runtime
from stages.runner.messages import Messages
from stages.runner.ray_map import start_ray, stop_ray
from stages.runner.shards import write_all
from stages.tokens.tokenizer import train_tokenizer

OTHERS = {"site-packages", "test", "tests"}
VOCABULARY = 4096
CHUNKS_1X = 3072
SHARDS, SHARD_CHUNKS = 8, 9216
GEOMETRY = Geometry(chunk_tokens=64, sequence_chunks=256, stride_chunks=16)
MINING = Mining.model_validate({"max_candidates": 20})
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
SAMPLED_QUERIES = 12
BARS = [
    Bar("x_rank_bm25", 400.0, at_most=False),
    Bar("x_bm25s", 10.0, at_most=False),
    Bar("peak_extra_mb", 300.0, at_most=True),
    Bar("worker_speedup_2", 1.7, at_most=False, wall_clock=True),
]


def corpus_tokens() -> np.ndarray:
    """The standard library's sources, file after file, as token ids."""
    paths = sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py"))
    texts = [
        path.read_text(encoding="utf-8", errors="replace")
        for path in paths
        if not OTHERS.intersection(path.parts)
    ]
    tokenizer = train_tokenizer(iter(texts), VOCABULARY)
    return np.concatenate([np.array(encoding.ids, np.uint32) for encoding in tokenizer.encode_batch(texts)])


def document(tokens: np.ndarray, chunks: int, first: int = 0) -> pa.Table:
    """CHUNKS of one document of the test split, which is mined for both forms of query; begins at token
    `first` and wraps around.
    """
    ids = np.resize(np.roll(tokens, -first), chunks * GEOMETRY.chunk_tokens)
    offsets = pa.array(np.arange(0, len(ids) + 1, GEOMETRY.chunk_tokens, dtype=np.int32))
    number = np.arange(chunks, dtype=np.int32)
    columns = {
        "doc_id": pa.repeat(f"{first:016x}", chunks),
        "split": pa.repeat("test", chunks),
        "chunk": number,
        "segment": number // GEOMETRY.sequence_chunks,
        "token_ids": pa.ListArray.from_arrays(offsets, pa.array(ids)),
        "text": pa.repeat("", chunks),
    }
    return CHUNKS.table(columns, chunk_tokens=GEOMETRY.chunk_tokens, sequence_chunks=GEOMETRY.sequence_chunks)


def mining_seconds(chunks: pa.Table) -> float:
    """Seconds to mine a table; each block of rows is dropped as it comes."""
    began = time.perf_counter()
    for _ in mine(chunks, GEOMETRY, MINING):
        pass
    return time.perf_counter() - began


def causal_limits(chunks: int) -> np.ndarray:
    """How many chunks each query of a document may retrieve, for those that may retrieve any."""
    return last_eligible(np.arange(2 * GEOMETRY.stride_chunks, chunks), GEOMETRY.stride_chunks) + 1


def sampled(tokens_CM: np.ndarray) -> list[tuple[list[int], int]]:
    """(tokens, causal limit) of queries spread over a document, in both forms in turn."""
    queries = np.linspace(2 * GEOMETRY.stride_chunks, len(tokens_CM) - 2, SAMPLED_QUERIES).astype(int)
    tokens = [
        tokens_CM[query : query + 1 + index % 2].ravel().tolist() for index, query in enumerate(queries)
    ]
    return list(zip(tokens, (last_eligible(queries, GEOMETRY.stride_chunks) + 1).tolist(), strict=True))


def per_query(ask: Callable[[list[int], int], Any], queries: list[tuple[list[int], int]]) -> float:
    """Seconds a query of a peer."""
    began = time.perf_counter()
    for tokens, limit in queries:
        ask(tokens, limit)
    return (time.perf_counter() - began) / len(queries)


def bm25s_peer(tokens_CM: np.ndarray) -> Callable[[list[int], int], Any]:
    """bm25s with Okapi's term weights (its ATIRE variant) and the causal limit as its weight mask, which it
    applies after scoring.
    """
    import bm25s  # runs a JAX operation when it is imported

    index = bm25s.BM25(k1=MINING.k1, b=MINING.b, method="atire")
    index.index(
        (tokens_CM.tolist(), {str(token): token for token in range(int(tokens_CM.max()) + 1)}),
        show_progress=False,
    )

    def ask(tokens: list[int], limit: int) -> Any:
        mask = (np.arange(len(tokens_CM)) < limit).astype(np.float32)
        return index.retrieve(
            [tokens],
            k=MINING.max_candidates,
            weight_mask=mask,
            show_progress=False,
            backend_selection="numpy",
        )

    return ask


def against_peers(tokens: np.ndarray) -> dict[str, float]:
    """Ours and both peers in turn on the same document; medians."""
    tokens_CM = tokens[: CHUNKS_1X * GEOMETRY.chunk_tokens].reshape(CHUNKS_1X, -1)
    okapi, bm25s_ask = BM25Okapi(tokens_CM.tolist()), bm25s_peer(tokens_CM)
    chunks, queries = document(tokens, CHUNKS_1X), sampled(tokens_CM)
    count = 2 * len(causal_limits(CHUNKS_1X)) - 1  # the last chunk has no target
    rows = []
    for _ in range(7):
        ours = mining_seconds(chunks) / count
        rows.append(
            (
                per_query(lambda query, _: okapi.get_scores(query), queries) / ours,
                per_query(bm25s_ask, queries) / ours,
                ours,
            )
        )
    x_rank_bm25, x_bm25s, ours = (statistics.median(column) for column in zip(*rows, strict=True))
    return {"x_rank_bm25": x_rank_bm25, "x_bm25s": x_bm25s, "us_per_query_1x": 1e6 * ours}


def growth(tokens: np.ndarray) -> dict[str, float]:
    """Microseconds a query of documents four and sixteen times as long, and the cost of a (query, eligible
    chunk) pair at 16x over 1x.
    """
    seconds = {}
    for times, repetitions in ((16, 1), (1, 7), (4, 3)):
        chunks = document(tokens, times * CHUNKS_1X)
        seconds[times] = statistics.median(mining_seconds(chunks) for _ in range(repetitions))
    limits = {times: causal_limits(times * CHUNKS_1X) for times in seconds}
    figures = {
        f"us_per_query_{times}x": 1e6 * seconds[times] / (2 * len(limits[times]) - 1) for times in (4, 16)
    }
    return figures | {
        "cost_ratio_16x": float((seconds[16] / limits[16].sum()) / (seconds[1] / limits[1].sum()))
    }


def peak_extra_mb(tokens: np.ndarray) -> float:
    """MB by which the peak of this process (VmHWM, Linux) exceeds what it held before it mined its first
    document.
    """
    chunks = document(tokens, CHUNKS_1X)
    held = psutil.Process().memory_info().rss
    mining_seconds(chunks)
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024
    return (peak - held) / 1e6


def artifact(directory: Path, tokens: np.ndarray, shards: int, chunks: int) -> Artifact:
    """CHUNKS in equal shards of one document each, all different."""
    directory.mkdir()
    for shard in range(shards):
        write_shard(CHUNKS, document(tokens, chunks, shard * 4096), directory / f"part-{shard:05d}.parquet")
    commit(CHUNKS, directory)
    return open_artifact(CHUNKS, directory)


def ray_seconds(chunks: Artifact, scratch: Path, runtime: Runtime) -> float:
    """Seconds to mine an artifact on the Ray of this process."""
    scratch.mkdir()
    arguments = {"geometry": GEOMETRY, "mining": MINING}
    began = time.perf_counter()
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        write_all(STAGE, [chunks], scratch, arguments, runtime, Messages(nowhere))
    return time.perf_counter() - began


def worker_speedup_2(tokens: np.ndarray, folder: Path) -> float:
    """Time of one worker over that of two, in workers that have run the stage before."""
    warm, timed = (
        artifact(folder / "warm", tokens, 4, 64),
        artifact(folder / "timed", tokens, SHARDS, SHARD_CHUNKS),
    )
    seconds = {1: 0.0, 2: 0.0}
    for turn, workers in enumerate((1, 2, 2, 1)):
        runtime = Runtime.model_validate({"workers": workers})
        start_ray(runtime)
        try:
            ray_seconds(warm, folder / f"warm-{turn}", runtime)
            seconds[workers] += ray_seconds(timed, folder / f"timed-{turn}", runtime)
        finally:
            stop_ray()
    return seconds[1] / seconds[2]


def in_fresh_process(measure: Callable[[np.ndarray], Any], tokens: np.ndarray) -> Any:
    """The result of a measurement in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, tokens).result()


def main() -> None:
    """Measure and show."""
    load = os.getloadavg()[0]
    os.environ.update(
        dict.fromkeys(ONE_THREAD, "1"), PYTHONPATH=os.pathsep.join(path for path in sys.path if path)
    )
    tokens = corpus_tokens()
    figures = in_fresh_process(against_peers, tokens) | in_fresh_process(growth, tokens)
    figures["peak_extra_mb"] = in_fresh_process(peak_extra_mb, tokens)
    with tempfile.TemporaryDirectory() as folder:
        figures["worker_speedup_2"] = worker_speedup_2(tokens, Path(folder))
    show("mining", figures, BARS, load)


if __name__ == "__main__":
    main()
