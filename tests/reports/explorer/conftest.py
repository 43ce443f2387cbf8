"""Evaluated corpora to explore: one of real text, and one whose every text, name and id is hostile."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from benchmarks._label_sets import make_label_set
from data_contracts.candidates import CANDIDATES
from reports.explorer.library import Library
from tests.hostile import DISTINCT
from tests.reports.explorer.evaluated import RETRIEVING, evaluate, write
from tests.reports.served_pages import explorer_client, one_thread


@pytest.fixture(scope="session")
def corpus(explored) -> Path:
    """The one of real text."""
    return explored


@pytest.fixture(scope="session")
def library(explored_library) -> Library:
    """The one of real text, opened."""
    return explored_library


@pytest.fixture(scope="session")
def client(library) -> Iterator[TestClient]:
    with one_thread(explorer_client(library)) as client:
        yield client


@pytest.fixture(scope="session")
def rows(corpus) -> pl.DataFrame:
    """Every row of every evaluation, with its run."""
    files = [*corpus.glob("evaluations/*/*.parquet"), *corpus.glob("oracle/*/*.parquet")]
    return pl.concat([pl.read_parquet(file).with_columns(run=pl.lit(file.parent.name)) for file in files])


SHARDS = 23  # a page reads the shard of its document
RUNS = ('"><svg onload=alert(1)>', "\u202eevil\u2066 run")


def _candidates(labels: pl.DataFrame) -> pa.Table:
    """Those that were scored."""
    pairs = labels.select(
        "doc_id", "split", pl.lit("q").alias("query_form"), "query_chunk", "candidate_chunk", "rank", "bm25"
    )
    return CANDIDATES.table(
        {name: pairs[name].to_arrow() for name in pairs.columns}, stride_chunks=2, sequence_chunks=9
    )


@pytest.fixture(scope="session")
def hostile_corpus(tmp_path_factory) -> Path:
    """A document for every hostile text, which is its id and its source, and the chunks of which are hostile
    texts in turn.
    """
    home = tmp_path_factory.mktemp("hostile") / "<b>corpus\u202e"
    texts, nth = itertools.cycle(DISTINCT), DISTINCT.__getitem__
    make_label_set(home, len(DISTINCT), 9, 3, SHARDS, text=lambda rng: next(texts), source=nth, doc_id=nth)
    labels = [pl.read_parquet(shard) for shard in sorted((home / "labels").glob("*.parquet"))]
    write(CANDIDATES, home / "candidates", *map(_candidates, labels))
    for run, system in zip(RUNS, ("<script>alert(2)</script>", "transformer_xl"), strict=True):
        evaluate(home, run, system, RETRIEVING, skill=0.5)
    return home


@pytest.fixture(scope="session")
def hostile_library(hostile_corpus) -> Library:
    """Its tokens are pieces of the hostile texts."""
    chunks = pl.read_parquet(hostile_corpus / "chunks" / "*.parquet")
    texts = {tuple(ids): text for ids, text in chunks.select("token_ids", "text").iter_rows()}

    def pieces(token_ids) -> list[str]:
        text, count = texts[tuple(token_ids.tolist())], len(token_ids)
        bounds = [len(text) * place // count for place in range(count + 1)]
        return [text[begin:end] for begin, end in itertools.pairwise(bounds)]

    return Library(hostile_corpus, hostile_corpus / "index", pieces)
