"""Evaluated corpora to explore: one of real text, and one whose every text, name and id is hostile."""

from __future__ import annotations

import argparse
import heapq
import itertools
import random
import textwrap
from pathlib import Path

import polars as pl
import pytest
from starlette.testclient import TestClient

from benchmarks._label_sets import make_label_set
from data_contracts.candidates import CANDIDATES
from flows.explorer import _pieces
from reports.explorer.library import Library
from reports.explorer.server import explorer
from tests.hostile import STORABLE
from tests.reports.explorer.evaluated import RETRIEVING, evaluate, make_corpus, write

PORT = 8000


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Path:
    """Four documents; Transformer-XL, RETRO and RPT-Sem, which has an oracle."""
    sources = {f"Lib/{module.__name__}.py": Path(module.__file__).read_text() for module in (heapq, textwrap, random, argparse)}
    home = make_corpus(tmp_path_factory.mktemp("explored") / "stdlib", {name: text[:16_000] for name, text in sources.items()})
    evaluate(home, "a-transformer_xl", "transformer_xl")
    evaluate(home, "a-retro", "retro", RETRIEVING, skill=0.35)
    evaluate(home, "a-rpt_sem", "rpt_sem", (*RETRIEVING, "oracle"), skill=0.6)
    return home


@pytest.fixture(scope="session")
def library(corpus) -> Library:
    return Library(corpus, corpus / "index", _pieces(corpus / "tokenizer" / "tokenizer.json"))


@pytest.fixture(scope="session")
def client(library) -> TestClient:
    return client_of(library)


@pytest.fixture(scope="session")
def rows(corpus) -> pl.DataFrame:
    """Every row of every evaluation, with its run."""
    files = [*corpus.glob("evaluations/*/*.parquet"), *corpus.glob("oracle/*/*.parquet")]
    return pl.concat([pl.read_parquet(file).with_columns(run=pl.lit(file.parent.name)) for file in files])


def client_of(library: Library) -> TestClient:
    """A client of the explorer of a library."""
    return TestClient(explorer(library, PORT), base_url=f"http://127.0.0.1:{PORT}")


RUNS = ('"><svg onload=alert(1)>', "\u202eevil\u2066 run")


@pytest.fixture(scope="session")
def hostile_corpus(tmp_path_factory) -> Path:
    """A document for every hostile text, which is its id and its source, and the chunks of which are hostile texts in turn."""
    home = tmp_path_factory.mktemp("hostile") / "<b>corpus\u202e"
    distinct = list(dict.fromkeys(STORABLE))
    texts = itertools.cycle(distinct)
    make_label_set(home, len(distinct), 9, 3, text=lambda rng: next(texts), source=distinct.__getitem__, doc_id=distinct.__getitem__)
    labels = pl.read_parquet(home / "labels" / "*.parquet")
    pairs = labels.select("doc_id", "split", pl.lit("q").alias("query_form"), "query_chunk", "candidate_chunk", "rank", "bm25")
    columns = {name: pairs[name].to_arrow() for name in pairs.columns}
    write(CANDIDATES, home / "candidates", CANDIDATES.table(columns, stride_chunks=2, sequence_chunks=9))
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
