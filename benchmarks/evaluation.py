"""Streaming evaluation of one document of 100k, 400k and 1.6M tokens: does the cost grow with its length, and
what does it hold in memory?

The model is RPT-Sem of 4 layers, 128 wide, with cross-attention in two of them and strides of 4 chunks; it is
untrained, and tokens are random, because neither changes the work. A shorter document for a trial:
TOKENS=64000 python -m benchmarks.evaluation
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.result import Bar, show
from data_contracts.eligibility import last_eligible
from data_contracts.evaluations import RANKING_LENGTH
from model.config import ModelConfig
from model.initialisation import initial_parameters
from model.parameters import Architecture
from model.registry import SYSTEMS
from model.retrieval_index import RetrievalIndex
from stages.evaluation.documents import DocumentReader, Request

TOKENS = int(os.environ.get("TOKENS", 1_600_000))
LENGTHS = {"100k": TOKENS // 16, "400k": TOKENS // 4, "1600k": TOKENS}
CONFIG = ModelConfig(
    vocabulary_size=2_048,
    width=128,
    layers=4,
    heads=4,
    chunk_tokens=64,
    stride_chunks=4,
    cca_layers=(3, 4),
    neighbours=2,
    gate_window=64,
)
TRAINING_CHUNKS = 256
BARS = [
    Bar("linearity", 0.8, at_most=False, wall_clock=True),
    Bar("x_numpy_memory", 2.0, at_most=False, wall_clock=True),
    Bar("peak_rss_gib", 4.0, at_most=True),
]


def make_reader(scratch: Path) -> DocumentReader:
    """An untrained system that reads documents in the setting `own`, compiled."""
    architecture = Architecture.of(SYSTEMS["rpt_sem"].build, CONFIG)
    model = architecture.model(initial_parameters(architecture, CONFIG, 0))
    reader = DocumentReader(model, ("own",), CONFIG.neighbours, TRAINING_CHUNKS, "exact", scratch)
    list(reader.read([Request("warm-up", document(4 * CONFIG.stride_tokens))]))
    return reader


def document(tokens: int) -> np.ndarray:
    """A document of random tokens."""
    return np.random.default_rng(0).integers(0, CONFIG.vocabulary_size, tokens)


def our_seconds(
    queries: np.ndarray, keys: np.ndarray, index: str, scratch: Path
) -> tuple[float, float | None]:
    """Seconds that the memory takes to add all keys and search all queries, stride by stride, and
    its recall.
    """
    memory, states = (
        RetrievalIndex(CONFIG, 0, scratch, index),
        np.zeros((CONFIG.stride_chunks, CONFIG.chunk_tokens, CONFIG.width)),
    )
    began = time.perf_counter()
    for first in range(0, len(keys), CONFIG.stride_chunks):
        memory.add(keys[first : first + CONFIG.stride_chunks], states)
        memory.search(first, queries[first : first + CONFIG.stride_chunks], RANKING_LENGTH)
    return time.perf_counter() - began, memory.recall


def numpy_seconds(queries: np.ndarray, keys: np.ndarray) -> float:
    """The same in the way of the official code: all products with the past, and a full sort of them, for
    every stride.
    """
    began = time.perf_counter()
    for first in range(0, len(keys), CONFIG.stride_chunks):
        past = keys[: max(0, last_eligible(first, CONFIG.stride_chunks) + 1)]
        np.argsort(-(queries[first : first + CONFIG.stride_chunks] @ past.T), axis=1)[:, :RANKING_LENGTH]
    return time.perf_counter() - began


def memory_figures(chunks: int, scratch: Path) -> dict[str, float]:
    """Our memory against NumPy on one document's keys and queries, drawn at random, and the approximate index
    on a quarter of them.
    """
    queries, keys = np.random.default_rng(1).normal(size=(2, chunks, CONFIG.width)).astype(np.float32)
    exact, _ = our_seconds(queries, keys, "exact", scratch)
    _, recall = our_seconds(queries[: chunks // 4], keys[: chunks // 4], "hnsw", scratch)
    assert recall is not None
    return {
        "x_numpy_memory": numpy_seconds(queries, keys) / exact,
        "memory_s": exact,
        f"hnsw_recall_at_{RANKING_LENGTH}": recall,
    }


def main() -> None:
    """Measure and show."""
    load, figures = os.getloadavg()[0], {}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        reader = make_reader(scratch)
        for name, tokens in LENGTHS.items():
            began = time.perf_counter()
            list(reader.read([Request(name, document(tokens))]))
            figures[f"tokens_per_s_{name}"] = tokens / (time.perf_counter() - began)
        figures["linearity"] = figures["tokens_per_s_1600k"] / figures["tokens_per_s_100k"]
        figures["peak_rss_gib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        figures |= memory_figures(TOKENS // CONFIG.chunk_tokens, scratch)
    show("evaluation", figures, BARS, load)


if __name__ == "__main__":
    main()
