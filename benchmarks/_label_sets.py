"""Label sets of any size with made-up scores and texts, each artifact as its contract wants it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from data_contracts.candidates import LABELS
from data_contracts.contract import commit, fact, open_artifact, write_shard
from data_contracts.documents import DOCUMENTS, SPLITS
from data_contracts.tokens import CHUNKS, list_column

CHUNK_TOKENS, STRIDE_CHUNKS = 64, 2
SCORER = {"engine": "made-up", "weights": "none", "chunk_tokens": CHUNK_TOKENS}
WORDS = [
    "the",
    "of",
    "and",
    "a",
    "to",
    "in",
    "was",
    "he",
    "for",
    "it",
    "with",
    "which",
    "had",
    "model",
    "chunk",
    "query",
    "target",
    "naïve",
]


def made_up_text(rng: np.random.Generator) -> str:
    """About as much text as a chunk holds."""
    return " ".join(rng.choice(WORDS, 45)) + "\n"


def make_label_set(
    home: Path,
    documents: int,
    chunks: int,
    candidates: int,
    shards: int = 1,
    text: Callable[[np.random.Generator], str] = made_up_text,
    source: Callable[[int], str] = "book-{:05d}.txt".format,
    doc_id: Callable[[int], str] = lambda number: f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}",
) -> Path:
    """Write `documents`, `chunks` and `labels` below `home` and return the place of the labels.

    Every document has `chunks` full chunks and every query that has an eligible chunk up to `candidates` of
    them. Every tenth document is of the validation split and every fifth of the test split.
    """
    rng = np.random.default_rng(0)
    for shard, numbers in enumerate(np.array_split(np.arange(documents), shards)):
        name = f"part-{shard:05d}.parquet"
        ids = [doc_id(int(number)) for number in numbers]
        for contract, table in (
            (DOCUMENTS, _documents(numbers, ids, source)),
            (CHUNKS, _chunks(numbers, ids, chunks, text, rng)),
            (LABELS, _labels(numbers, ids, chunks, candidates, rng)),
        ):
            (home / contract.name).mkdir(parents=True, exist_ok=True)
            write_shard(contract, table, home / contract.name / name)
    for contract in (DOCUMENTS, CHUNKS, LABELS):
        commit(contract, home / contract.name)
    return home / "labels"


def alter_label_set(labels: Path, home: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Path:
    """The same documents and chunks below `home`, and the labels as `change` makes them of each shard; s_t is
    computed afterwards.
    """
    for name in (DOCUMENTS.name, CHUNKS.name):
        shutil.copytree(labels.with_name(name), home / name)
    artifact = open_artifact(LABELS, labels)
    (home / LABELS.name).mkdir()
    for shard in artifact.shards:
        table = artifact.read(shard)
        score = pl.col("candidate_logprob") - pl.col("local_logprob")
        rows = (
            change(pl.DataFrame(pl.from_arrow(table)))
            .with_columns(target_score=score)
            .to_arrow()
            .cast(LABELS.schema)
        )
        facts = {name: fact(table, name) for name in LABELS.facts}
        write_shard(
            LABELS,
            LABELS.table({name: rows.column(name) for name in rows.column_names}, **facts),
            home / LABELS.name / shard,
        )
    commit(LABELS, home / LABELS.name)
    return home / LABELS.name


def _splits(numbers: np.ndarray) -> np.ndarray:
    return np.array(SPLITS)[np.where(numbers % 10 == 9, 1, np.where(numbers % 5 == 4, 2, 0))]


def _documents(numbers: np.ndarray, ids: list[str], source: Callable[[int], str]) -> pa.Table:
    size = len(numbers)
    columns = {
        "doc_id": ids,
        "split": _splits(numbers),
        "source": [source(int(number)) for number in numbers],
        "text": ["x"] * size,
        "num_chars": [1] * size,
    }
    return DOCUMENTS.table({**columns, **{name: [""] * size for name in ("part_of", "corpus", "license")}})


def _chunks(
    numbers: np.ndarray,
    doc_ids: list[str],
    chunks: int,
    text: Callable[[np.random.Generator], str],
    rng: np.random.Generator,
) -> pa.Table:
    ids = rng.integers(0, 200, (len(numbers) * chunks, CHUNK_TOKENS), dtype=np.uint32)
    place = np.tile(np.arange(chunks, dtype=np.int32), len(numbers))
    columns = {
        "doc_id": np.repeat(np.array(doc_ids, object), chunks),
        "split": np.repeat(_splits(numbers), chunks),
        "chunk": place,
        "segment": np.zeros_like(place),
        "token_ids": list_column(list(ids)),
        "text": [text(rng) for _ in place],
    }
    return CHUNKS.table(columns, chunk_tokens=CHUNK_TOKENS, sequence_chunks=chunks)


def _labels(
    numbers: np.ndarray, ids: list[str], chunks: int, candidates: int, rng: np.random.Generator
) -> pa.Table:
    query, candidate, rank = list[int](), list[int](), list[int]()
    for i in range(2 * STRIDE_CHUNKS, chunks - 1):
        pool = STRIDE_CHUNKS * (i // STRIDE_CHUNKS - 1) - 1  # chunks 0 .. pool - 1 are eligible
        count = min(pool, candidates)
        query += [i] * count
        candidate += [int(j) for j in rng.permutation(pool)[:count]]
        rank += range(count)
    size = len(query) * len(numbers)
    local = rng.normal(-150, 20, (size, 2)).astype(np.float32)
    halves = local + rng.normal(-1, 3, (size, 2)).astype(np.float32)
    # one local context a query
    local = local[np.arange(size) - np.tile(np.array(rank, np.int64), len(numbers))]
    with_candidate, without = halves.sum(axis=1, dtype=np.float32), local.sum(axis=1, dtype=np.float32)
    columns = {
        "doc_id": np.repeat(np.array(ids, object), len(query)),
        "split": np.repeat(_splits(numbers), len(query)),
        "query_chunk": np.tile(np.array(query, np.int32), len(numbers)),
        "candidate_chunk": np.tile(np.array(candidate, np.int32), len(numbers)),
        "rank": np.tile(np.array(rank, np.int16), len(numbers)),
        "bm25": np.tile((50.0 - np.array(rank)).astype(np.float32), len(numbers)),
        "candidate_logprob": with_candidate,
        "local_logprob": without,
        "candidate_halves": pa.FixedSizeListArray.from_arrays(halves.ravel(), 2),
        "local_halves": pa.FixedSizeListArray.from_arrays(local.ravel(), 2),
        "target_score": with_candidate - without,
    }
    return LABELS.table(columns, stride_chunks=STRIDE_CHUNKS, sequence_chunks=chunks, scorer=SCORER)
