"""Tokenizer, tokenization, chunking and packing: nothing is lost, added or mistaken for a special token."""

import numpy as np
import pyarrow as pa
import pytest

from data_contracts.contract import write_shard
from data_contracts.documents import DOCUMENTS
from data_contracts.sequences import SEQUENCES
from data_contracts.tokens import CHUNKS, TOKENS, list_rows
from stages.chunking import chunk
from stages.packing import pack
from stages.parameters import Geometry
from stages.tokenization import tokenize
from stages.tokenizer import END_OF_TEXT, load_tokenizer, train_tokenizer

TEXTS = [
    "plain text " * 40,
    "emoji 🐍🐍 العربية עברית 中文 \u202e\u200b\x00\x1b[31m\r\n\ttabs",
    f"it says {END_OF_TEXT} and <|endoftext|> in plain text",
    "x" * 5000,
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(iter(["plain text and emoji " * 50]), 300).save(str(directory / "tokenizer.json"))
    return directory


def documents(splits=None) -> pa.Table:
    count = len(TEXTS)
    return DOCUMENTS.table(
        {
            "doc_id": [f"d{number}" for number in range(count)],
            "corpus": ["c"] * count,
            "split": splits or ["train"] * count,
            "source": ["s"] * count,
            "license": [""] * count,
            "text": TEXTS,
            "num_chars": [len(text) for text in TEXTS],
        }
    )


def test_decoding_gives_the_text_back(tokenizer, tmp_path):
    tokens = tokenize(documents(), tokenizer)
    write_shard(TOKENS, tokens, tmp_path / "part-00000.parquet")
    decoder = load_tokenizer(tokenizer)
    for text, ids in zip(TEXTS, list_rows(tokens.column("token_ids")), strict=True):
        assert ids[0] == ids[-1] == 0
        assert 0 not in ids[1:-1], "text that spells a special token stays text"
        assert decoder.decode(ids[1:-1].tolist()) == text


def test_chunks_are_the_tokens_in_order(tokenizer, tmp_path):
    geometry = Geometry(chunk_tokens=8, sequence_chunks=8, stride_chunks=2)
    tokens = tokenize(documents(), tokenizer)
    chunks = chunk(tokens, geometry, tokenizer)
    write_shard(CHUNKS, chunks, tmp_path / "part-00000.parquet")
    pieces = list_rows(chunks.column("token_ids"))
    assert np.array_equal(np.concatenate(pieces), np.concatenate(list_rows(tokens.column("token_ids"))))
    ascii_text = "".join(
        t for d, t in zip(chunks.column("doc_id").to_pylist(), chunks.column("text").to_pylist(), strict=True) if d == "d0"
    )
    assert ascii_text == END_OF_TEXT + TEXTS[0] + END_OF_TEXT


def test_packing_covers_every_training_token_once_as_target(tokenizer, tmp_path):
    geometry = Geometry(chunk_tokens=8, sequence_chunks=8, stride_chunks=2)
    tokens = tokenize(documents(["train", "test", "validation", "train"]), tokenizer)
    sequences = pack(tokens, geometry)
    write_shard(SEQUENCES, sequences, tmp_path / "part-00000.parquet")
    for doc_id, ids in zip(("d0", "d3"), (list_rows(tokens.column("token_ids"))[row] for row in (0, 3)), strict=True):
        rows = [
            row
            for name, row in zip(sequences.column("doc_id").to_pylist(), list_rows(sequences.column("token_ids")), strict=True)
            if name == doc_id
        ]
        assert np.array_equal(np.concatenate([row[1:] for row in rows]), ids[1:])
        assert all(len(row) == 65 for row in rows[:-1])
    assert set(sequences.column("doc_id").to_pylist()) == {"d0", "d3"}
