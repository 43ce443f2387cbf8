"""A corpus of short tales, and what the stages of REALM make of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from data_contracts.tokens import CHUNKS, TOKENS, list_column
from stages.parameters import Geometry
from stages.realm.start import make_realm_start
from stages.runner.stage import Context
from stages.tokens.chunking import chunk
from stages.tokens.tokenizer import END_OF_TEXT, train_tokenizer
from tests.stages.artifacts import write_artifact
from tests.stages.realm.tales import TALES
from tests.tiny import tiny_context, tiny_realm_start

GEOMETRY = Geometry(chunk_tokens=32, sequence_chunks=4, stride_chunks=1)


def write_corpus(
    home: Path, texts: dict[str, str], splits: dict[str, str] | None = None, geometry: Geometry = GEOMETRY
) -> None:
    """`home / "tokenizer"` and `home / "chunks"` of some documents, one shard each."""
    tokenizer = train_tokenizer(iter(texts.values()), 400)
    (home / "tokenizer").mkdir(parents=True)
    tokenizer.save(str(home / "tokenizer" / "tokenizer.json"))
    end = tokenizer.token_to_id(END_OF_TEXT)
    tables = []
    for doc_id, text in texts.items():
        ids = np.array([end, *tokenizer.encode(text).ids, end], np.uint32)
        split = (splits or {}).get(doc_id, "train")
        tokens = TOKENS.table(
            {"doc_id": [doc_id], "split": [split], "token_ids": list_column([ids])}, tokenizer="x"
        )
        tables.append(pa.concat_tables(chunk(tokens, geometry, home / "tokenizer")))
    write_artifact(CHUNKS, home / "chunks", *tables)


@pytest.fixture(scope="session")
def started(tmp_path_factory) -> Path:
    """The corpus with what REALM begins as; to be read only."""
    home = tmp_path_factory.mktemp("realm")
    write_corpus(home, TALES)
    (home / "scratch").mkdir()
    make_realm_start(tiny_context(home), GEOMETRY, tiny_realm_start())
    shutil.move(home / "scratch" / "realm_start", home / "realm_start")
    return home


@pytest.fixture
def context_of(started, tmp_path):
    """Contexts of the corpus, each with a scratch directory of its own."""

    def make(name: str) -> Context:
        home = tmp_path / name
        (home / "scratch").mkdir(parents=True)
        for artifact in ("tokenizer", "chunks", "realm_start"):
            (home / artifact).symlink_to(started / artifact)
        return tiny_context(home)

    return make
