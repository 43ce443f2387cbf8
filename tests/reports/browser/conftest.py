"""Label sets to browse: made-up ones of a few documents, one whose every text is hostile, and one made by the
real stages.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from benchmarks._label_sets import make_label_set
from data_contracts.candidates import LABELS
from data_contracts.contract import commit, write_shard
from data_contracts.documents import DOCUMENTS
from data_contracts.tokens import CHUNKS, TOKENS, list_column
from model import gpt_neox, gpt_neox_files
from model.gpt_neox_config import GPTNeoXConfig
from reports.labels.label_set import LabelSet, open_label_set
from stages.mining.mining import mine
from stages.parameters import Geometry, Mining, Scoring
from stages.scoring.scoring import score
from stages.tokens.chunking import chunk
from stages.tokens.tokenizer import train_tokenizer
from tests.hostile import DISTINCT
from tests.reports.served_pages import browser_client, one_thread

KEY = "00112233445566ff"  # the document that the real stages scored


@pytest.fixture(scope="session")
def client_of() -> Callable[..., TestClient]:
    """A client of the browser of some label sets."""
    return browser_client


@pytest.fixture(scope="session")
def home(browsed) -> Path:
    """7 documents of 60 chunks in 3 shards."""
    return browsed


@pytest.fixture(scope="session")
def label_set(browsed_set) -> LabelSet:
    """Those, opened."""
    return browsed_set


@pytest.fixture(scope="session")
def client(label_set, client_of) -> Iterator[TestClient]:
    with one_thread(client_of(label_set)) as client:
        yield client


@pytest.fixture(scope="session")
def hostile_set(tmp_path_factory) -> LabelSet:
    """A document for every hostile text, which is its id and its source, and the chunks of which are hostile
    texts in turn.
    """
    home = tmp_path_factory.mktemp("hostile")
    texts = itertools.cycle(DISTINCT)
    labels = make_label_set(
        home,
        documents=len(DISTINCT),
        chunks=9,
        candidates=3,
        text=lambda rng: next(texts),
        source=DISTINCT.__getitem__,
        doc_id=DISTINCT.__getitem__,
    )
    return open_label_set(labels, home / "cache")


GEOMETRY = Geometry(chunk_tokens=16, sequence_chunks=64, stride_chunks=2)


@pytest.fixture(scope="session")
def scored(tmp_path_factory) -> Path:
    """Labels that the real stages made of one document with a small random reference LM, which lies beside
    them.
    """
    home = tmp_path_factory.mktemp("scored")
    rng = np.random.default_rng(0)
    words = ["naïve", "token", "日本語", "🐍", "gain", "chunk", "the", "of", "query"]
    text = " ".join(rng.choice(words, 700))
    tokenizer = train_tokenizer(iter([text]), 290)
    config = GPTNeoXConfig(tokenizer.get_vocab_size(), 32, 2, 2, 64, max_position_embeddings=256)
    gpt_neox_files.save(home / "reference_lm", config, gpt_neox.init(config, 3))
    for name in ("reference_lm", "tokenizer"):
        (home / name).mkdir(exist_ok=True)
        tokenizer.save(str(home / name / "tokenizer.json"))
    ids = np.array(tokenizer.encode(text).ids, np.uint32)
    tokens = TOKENS.table(
        {"doc_id": [KEY], "split": ["train"], "token_ids": list_column([ids])}, tokenizer=""
    )
    chunks = pa.concat_tables(chunk(tokens, GEOMETRY, home / "tokenizer"))
    candidates = pa.concat_tables(mine(chunks, GEOMETRY, Mining(max_candidates=9)))
    scoring = Scoring(candidates=9, evaluation_candidates=9, engine="jax")
    labels = score(
        chunks, candidates, GEOMETRY, scoring, home / "tokenizer", home / "reference_lm", home / "ledger"
    )
    document = {name: [""] for name in ("part_of", "corpus", "license")}
    document |= {
        "doc_id": [KEY],
        "split": ["train"],
        "source": ["scored.txt"],
        "text": [text],
        "num_chars": [len(text)],
    }
    for contract, table in ((DOCUMENTS, DOCUMENTS.table(document)), (CHUNKS, chunks), (LABELS, labels)):
        (home / contract.name).mkdir()
        write_shard(contract, table, home / contract.name / "part-00000.parquet")
        commit(contract, home / contract.name)
    return home
