"""Artifacts open in polars, DuckDB, pandas and Hugging Face datasets with none of our code, and hold the same
values there.
"""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from data_contracts.candidates import CANDIDATES, LABELS
from data_contracts.contract import Contract, commit, open_artifact, write_shard
from data_contracts.documents import DOCUMENTS
from data_contracts.tokens import CHUNKS, TOKENS

TEXTS = ["plain", "naïve café\n\ttab", "quote \" and \\ and 'x'", "日本語 🎉 \u200b", "a" * 3000]
PAIRS = {
    "split": ["test"] * 4,
    "query_chunk": [8, 8, 9, 9],
    "candidate_chunk": [4, 0, 3, 2],
    "rank": [0, 1, 0, 1],
    "bm25": [2.5, 1.0, 1e-30, 1e-38],
}
FACTS = {"stride_chunks": 2, "sequence_chunks": 16}


def documents(shard: str) -> pa.Table:
    special = {
        "text": TEXTS,
        "num_chars": [len(text) for text in TEXTS],
        "split": ["train", "validation", "test", "train", "train"],
    }
    others = {
        name: [f"{shard} {name} {number}" for number in range(len(TEXTS))] for name in DOCUMENTS.schema.names
    }
    return DOCUMENTS.table(others | special)


def tokens(shard: str) -> pa.Table:
    rows = [[0, 2**32 - 1, 1], list(range(500))]
    return TOKENS.table(
        {"doc_id": [f"{shard}a", f"{shard}b"], "split": ["train"] * 2, "token_ids": rows}, tokenizer="x"
    )


def chunks(shard: str) -> pa.Table:
    columns = {
        "doc_id": [shard] * 3,
        "split": ["validation"] * 3,
        "chunk": [0, 1, 2],
        "segment": [0, 0, 1],
        "token_ids": [[5, 6], [7, 8], [9]],
        "text": TEXTS[1:4],
    }
    return CHUNKS.table(columns, chunk_tokens=2, sequence_chunks=2)


def candidates(shard: str) -> pa.Table:
    return CANDIDATES.table({"doc_id": [shard] * 4, "query_form": ["qt"] * 4, **PAIRS}, **FACTS)


def labels(shard: str) -> pa.Table:
    scores = np.array([-1.5, -2.0, -1e-30, -300.0], np.float32)
    columns = {
        "doc_id": [shard] * 4,
        **PAIRS,
        "candidate_logprob": scores,
        "local_logprob": scores[::-1],
        "candidate_halves": [[value / 2, value / 2] for value in scores],
        "local_halves": [[value / 2, value / 2] for value in scores[::-1]],
        "target_score": scores - scores[::-1],
    }
    return LABELS.table(columns, **FACTS, scorer={"engine": "jax"})


ARTIFACTS = [
    (DOCUMENTS, documents),
    (TOKENS, tokens),
    (CHUNKS, chunks),
    (CANDIDATES, candidates),
    (LABELS, labels),
]


def with_polars(shards: str, cache: Path) -> pa.Table:
    import polars

    return polars.read_parquet(shards).to_arrow()


def with_duckdb(shards: str, cache: Path) -> pa.Table:
    import duckdb

    return duckdb.sql(f"select * from '{shards}'").to_arrow_table()


def with_pandas(shards: str, cache: Path) -> pa.Table:
    import pandas

    paths = sorted(Path(shards).parent.glob(Path(shards).name))
    return pa.Table.from_pandas(pandas.concat(map(pandas.read_parquet, paths)), preserve_index=False)


def with_datasets(shards: str, cache: Path) -> pa.Table:
    import datasets

    return datasets.load_dataset("parquet", data_files=shards, split="train", cache_dir=str(cache)).data.table


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    for name in (
        "HF_HUB_OFFLINE",
        "HF_DATASETS_OFFLINE",
        "HF_HUB_DISABLE_TELEMETRY",
        "HF_DATASETS_DISABLE_PROGRESS_BARS",
    ):
        monkeypatch.setitem(os.environ, name, "1")


@pytest.mark.parametrize("read", [with_polars, with_duckdb, with_pandas, with_datasets])
@pytest.mark.parametrize(("contract", "make"), ARTIFACTS, ids=[contract.name for contract, _ in ARTIFACTS])
def test_other_readers_find_the_same_values(tmp_path, contract: Contract, make, read):
    directory = tmp_path / contract.name
    directory.mkdir()
    for number in range(2):
        write_shard(contract, make(f"s{number}"), directory / f"part-{number:05d}.parquet")
    commit(contract, directory)
    found = read(f"{directory}/part-*.parquet", tmp_path / "cache")
    assert (
        found.select(contract.schema.names).to_pydict()
        == open_artifact(contract, directory).read_all().to_pydict()
    )
