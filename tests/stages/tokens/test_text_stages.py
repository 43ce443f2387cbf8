"""Tokenizer, tokenization, chunking and packing: nothing is lost, added or mistaken for a special token."""

import io
import json

import numpy as np
import pyarrow as pa
import pytest

from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.documents import DOCUMENTS
from data_contracts.sequences import SEQUENCES
from data_contracts.tokens import CHUNKS, TOKENS, list_column, list_rows
from stages.parameters import Geometry, Tokenization
from stages.runner.messages import Messages
from stages.supervision.packing import pack
from stages.tokens import tokenization
from stages.tokens.chunking import BLOCK_TOKENS, chunk
from stages.tokens.text_pieces import PIECE_CHARS
from stages.tokens.tokenization import tokenize
from stages.tokens.tokenizer import (
    END_OF_TEXT,
    TrainText,
    load_tokenizer,
    make_tokenizer,
    train_tokenizer,
    vocabulary_size,
)
from tests.tiny import tiny_context

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


def documents(splits=None, texts=TEXTS) -> pa.Table:
    count = len(texts)
    return DOCUMENTS.table(
        {
            "doc_id": [f"d{number}" for number in range(count)],
            "corpus": ["c"] * count,
            "split": splits or ["train"] * count,
            "source": ["s"] * count,
            "part_of": [""] * count,
            "license": [""] * count,
            "text": texts,
            "num_chars": [len(text) for text in texts],
        }
    )


def whole(tables) -> pa.Table:
    return pa.concat_tables(list(tables))


def test_decoding_gives_the_text_back(tokenizer, tmp_path):
    tokens = whole(tokenize(documents(), tokenizer))
    write_shard(TOKENS, tokens, tmp_path / "part-00000.parquet")
    decoder = load_tokenizer(tokenizer)
    for text, ids in zip(TEXTS, list_rows(tokens.column("token_ids")), strict=True):
        assert ids[0] == ids[-1] == 0
        assert 0 not in ids[1:-1], "text that spells a special token stays text"
        assert decoder.decode(ids[1:-1].tolist()) == text


def test_chunks_are_the_tokens_in_order(tokenizer, tmp_path):
    geometry = Geometry(chunk_tokens=8, sequence_chunks=8, stride_chunks=2)
    tokens = whole(tokenize(documents(), tokenizer))
    chunks = whole(chunk(tokens, geometry, tokenizer))
    write_shard(CHUNKS, chunks, tmp_path / "part-00000.parquet")
    pieces = list_rows(chunks.column("token_ids"))
    assert np.array_equal(np.concatenate(pieces), np.concatenate(list_rows(tokens.column("token_ids"))))
    ascii_text = "".join(
        t
        for d, t in zip(chunks.column("doc_id").to_pylist(), chunks.column("text").to_pylist(), strict=True)
        if d == "d0"
    )
    assert ascii_text == END_OF_TEXT + TEXTS[0] + END_OF_TEXT


def test_long_and_short_documents_encode_as_if_each_were_encoded_whole(tokenizer, monkeypatch):
    monkeypatch.setattr(tokenization, "TABLE_TOKENS", 100_000)
    texts = [
        "short one",
        "plain  text\n" * PIECE_CHARS,
        END_OF_TEXT,
        "a b " * 20_000,
        "x",
        "don't " * 40_000,
        "the last",
    ]
    tables = list(tokenize(documents(texts=texts), tokenizer))
    assert [len(table) for table in tables] == [1, 1, 3, 1, 1]
    encoder = load_tokenizer(tokenizer)
    for text, ids in zip(texts, list_rows(whole(tables).column("token_ids")), strict=True):
        assert ids.tolist() == [0, *encoder.encode(text, add_special_tokens=False).ids, 0]


def test_chunks_of_a_long_document_come_in_bounded_blocks(tokenizer, tmp_path):
    geometry = Geometry(chunk_tokens=64, sequence_chunks=8, stride_chunks=2)
    rng = np.random.default_rng(0)
    rows = [rng.integers(1, 300, size, dtype=np.uint32) for size in (100, 2 * BLOCK_TOKENS + 70, 64, 65)]
    columns = {"doc_id": list("abcd"), "split": ["train"] * 4, "token_ids": list_column(rows)}
    blocks = list(chunk(TOKENS.table(columns, tokenizer=""), geometry, tokenizer))
    for block in blocks:
        assert len(block.column("token_ids").combine_chunks().values) <= BLOCK_TOKENS
        CHUNKS.validate(block, "a block")
    chunks = whole(blocks)
    write_shard(CHUNKS, chunks, tmp_path / "part-00000.parquet")
    assert len(blocks) == 4
    counts = [2, 2 * BLOCK_TOKENS // 64 + 2, 1, 2]
    assert chunks.column("doc_id").to_pylist() == list(np.repeat(list("abcd"), counts))
    assert chunks.column("chunk").to_pylist() == [number for count in counts for number in range(count)]
    assert np.array_equal(np.concatenate(list_rows(chunks.column("token_ids"))), np.concatenate(rows))
    decoder = load_tokenizer(tokenizer)
    for row in (0, 4097, 4098, len(chunks) - 1):
        ids = list_rows(chunks.column("token_ids"))[row]
        assert chunks.column("text")[row].as_py() == decoder.decode(ids.tolist(), skip_special_tokens=False)


def test_no_documents_give_one_empty_table(tokenizer):
    geometry = Geometry(chunk_tokens=8, sequence_chunks=8, stride_chunks=2)
    (tokens,) = tokenize(documents(texts=[]), tokenizer)
    (chunks,) = chunk(tokens, geometry, tokenizer)
    TOKENS.validate(tokens, "tokens")
    CHUNKS.validate(chunks, "chunks")
    assert len(tokens) == len(chunks) == 0


@pytest.fixture
def corpus(tmp_path):
    """Two shards of documents, of which d0 and d3 of each are for training."""
    directory = tmp_path / "artifacts" / "documents"
    directory.mkdir(parents=True)
    for number in range(2):
        table = documents(["train", "test", "validation", "train"], [f"{number}{text}" for text in TEXTS])
        write_shard(DOCUMENTS, table, directory / f"part-{number:05}.parquet")
    commit(DOCUMENTS, directory)
    return open_artifact(DOCUMENTS, directory)


@pytest.mark.parametrize(
    ("limit", "limited"),
    [(100, True), (441, True), (442, True), (10_883, True), (10_884, False), (10**9, False)],
)
def test_training_reads_the_first_characters_of_the_train_split(corpus, limit, limited):
    read = TrainText(corpus, limit)
    everything = "".join(f"{number}{text}" for number in range(2) for text in (TEXTS[0], TEXTS[3]))
    assert len(everything) == 10_884
    assert "".join(read) == everything[:limit]
    assert read.limited is limited


@pytest.mark.parametrize(("limit", "said"), [(500, True), (100_000, False)])
def test_a_limited_training_is_said(corpus, tmp_path, limit, said):
    stream = io.StringIO()
    context = tiny_context(tmp_path, inputs=tmp_path / "artifacts", say=Messages(stream))
    make_tokenizer(context, Tokenization(tokenizer="train", vocabulary_size=300, train_characters=limit))
    load_tokenizer(tmp_path / "scratch" / "tokenizer")
    assert ("trained on the first 500 characters of the train split" in stream.getvalue()) is said


def test_ids_with_holes_have_room_in_every_table(tokenizer, corpus, tmp_path):
    content = json.loads((tokenizer / "tokenizer.json").read_text())
    assert vocabulary_size(load_tokenizer(tokenizer)) == len(content["model"]["vocab"])
    vocabulary = content["model"]["vocab"]
    highest = max(vocabulary, key=vocabulary.get)
    vocabulary[highest] = 1000
    (tmp_path / "holes.json").write_text(json.dumps(content))
    stream = io.StringIO()
    context = tiny_context(tmp_path, inputs=tmp_path / "artifacts", say=Messages(stream))
    make_tokenizer(context, Tokenization(tokenizer=str(tmp_path / "holes.json"), vocabulary_size=300))
    made = load_tokenizer(tmp_path / "scratch" / "tokenizer")
    assert vocabulary_size(made) == 1001 > made.get_vocab_size()
    assert "ids up to 1,000" in stream.getvalue()


def test_packing_covers_every_training_token_once_as_target(tokenizer, tmp_path):
    geometry = Geometry(chunk_tokens=8, sequence_chunks=8, stride_chunks=2)
    tokens = whole(tokenize(documents(["train", "test", "validation", "train"]), tokenizer))
    sequences = pack(tokens, geometry)
    write_shard(SEQUENCES, sequences, tmp_path / "part-00000.parquet")
    for doc_id, ids in zip(
        ("d0", "d3"), (list_rows(tokens.column("token_ids"))[row] for row in (0, 3)), strict=True
    ):
        rows = [
            row
            for name, row in zip(
                sequences.column("doc_id").to_pylist(), list_rows(sequences.column("token_ids")), strict=True
            )
            if name == doc_id
        ]
        assert np.array_equal(np.concatenate([row[1:] for row in rows]), ids[1:])
        assert all(len(row) == 65 for row in rows[:-1])
    assert set(sequences.column("doc_id").to_pylist()) == {"d0", "d3"}
