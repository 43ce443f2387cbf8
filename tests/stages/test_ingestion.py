"""Every input is a document or is quarantined with a reason, and nothing that a disk can hold crashes the run."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_contracts.contract import open_artifact
from data_contracts.documents import DOCUMENTS, QUARANTINE
from data_contracts.failure import Exit, Failure
from stages.ingestion import STAGE, assign_splits, plan_shards, sort_out
from stages.messages import Messages
from stages.parameters import Corpus, Ingestion, Runtime
from stages.sources import records, source_files
from stages.stage import Context

LIMITS = Ingestion(min_document_chars=20, max_quarantine_fraction=0.9, shards=4)
GOOD = "a good document, number {}, long enough"


def write_inputs(folder):
    (folder / "good.txt").write_text(GOOD.format(1))
    (folder / "copy.txt").write_text(GOOD.format(1))
    (folder / "empty.txt").write_text("")
    (folder / "blank.txt").write_text(" \n\t\u00a0" * 40)
    (folder / "short.txt").write_text("short")
    (folder / "latin1.txt").write_bytes("déjà vu, but not in UTF-8, over and over".encode("latin-1"))
    (folder / "bom.txt").write_bytes(b"\xef\xbb\xbf" + GOOD.format(2).encode())
    (folder / "emoji 🐍.txt").write_text(GOOD.format(3))
    lines = [
        {"text": GOOD.format(4), "license": "MIT"},
        {"text": None},
        {"body": "x"},
        ["x"],
        {"text": "\ud800" * 30},
        {"text": "nul \x00" + GOOD.format(5)},
    ]
    (folder / "a.jsonl").write_text("\n".join([*map(json.dumps, lines), "not json", ""]))
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(json.dumps({"text": GOOD.format(6)}).encode())[:-12])
    pq.write_table(pa.table({"text": [GOOD.format(7), None], "license": ["CC0", None]}), folder / "c.parquet")
    pq.write_table(pa.table({"words": ["x"]}), folder / "d.parquet")
    (folder / "e.parquet").write_bytes(b"this is no parquet file")


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "in put"
    folder.mkdir()
    write_inputs(folder)
    return Corpus(source=str(folder))


def context(tmp_path, corpus) -> Context:
    with open(tmp_path / "said", "w") as stream:
        return Context("c", corpus, None, None, tmp_path / "artifacts", tmp_path / "scratch", Runtime(), Messages(stream))


def test_each_input_has_its_reason(corpus):
    documents, rejected = sort_out(records(corpus, source_files(corpus)), LIMITS)
    assert {document.text[-26:] for document in documents} == {GOOD.format(n)[-26:] for n in (1, 2, 3, 4, 5, 7)}
    reasons = {(record.source, record.position): record.reason for record in rejected}
    assert reasons == {
        ("a.jsonl", 2): "not_text",
        ("a.jsonl", 3): "not_text",
        ("a.jsonl", 4): "not_text",
        ("a.jsonl", 5): "not_unicode",
        ("a.jsonl", 7): "unreadable",
        ("b.jsonl.gz", 0): "unreadable",
        ("blank.txt", 0): "empty",
        ("c.parquet", 2): "not_text",
        ("d.parquet", 0): "not_text",
        ("e.parquet", 0): "unreadable",
        ("empty.txt", 0): "empty",
        ("good.txt", 0): "duplicate",
        ("latin1.txt", 0): "invalid_utf8",
        ("short.txt", 0): "too_short",
    }
    assert len({document.record.license for document in documents} & {"MIT", "CC0"}) == 2


def test_artifacts_account_for_every_input(corpus, tmp_path):
    with open(tmp_path / "said", "w") as stream:
        job = Context("c", corpus, None, None, tmp_path / "artifacts", tmp_path / "scratch", Runtime(), Messages(stream))
        STAGE.function(job, LIMITS)
    documents = open_artifact(DOCUMENTS, tmp_path / "scratch" / "documents")
    quarantine = open_artifact(QUARANTINE, tmp_path / "scratch" / "quarantine")
    assert documents.rows + quarantine.rows == 20
    assert {"train", "validation", "test"} == set(documents.read_all().column("split").to_pylist())
    assert all(text.isascii() and text.isprintable() for text in quarantine.read_all().column("excerpt").to_pylist())


def test_a_limit_counts_what_it_leaves_out(corpus, tmp_path):
    limited = corpus.model_copy(update={"max_characters": 1})
    with open(tmp_path / "said", "w") as stream:
        job = Context("c", limited, None, None, tmp_path / "artifacts", tmp_path / "scratch", Runtime(), Messages(stream))
        STAGE.function(job, LIMITS)
    reasons = open_artifact(QUARANTINE, tmp_path / "scratch" / "quarantine").read_all().column("reason").to_pylist()
    assert open_artifact(DOCUMENTS, tmp_path / "scratch" / "documents").rows == 3
    assert reasons.count("beyond_limit") == 3


def test_too_much_quarantine_stops_before_anything_is_paid_for(corpus, tmp_path):
    strict = LIMITS.model_copy(update={"max_quarantine_fraction": 0.1})
    with open(tmp_path / "said", "w") as stream, pytest.raises(Failure, match="14 of 20 inputs") as failure:
        STAGE.function(Context("c", corpus, None, None, tmp_path, tmp_path / "scratch", Runtime(), Messages(stream)), strict)
    assert failure.value.code == Exit.QUARANTINE


def test_missing_files_are_named(tmp_path):
    with pytest.raises(Failure, match="no file matches") as failure:
        source_files(Corpus(source=str(tmp_path / "nothing" / "*.txt")))
    assert failure.value.code == Exit.USAGE


def test_splits_depend_on_text_alone_and_are_never_empty(corpus):
    documents, _ = sort_out(records(corpus, source_files(corpus)), LIMITS)
    splits = assign_splits(documents, corpus)
    assert set(splits.values()) == {"train", "validation", "test"}
    assert assign_splits(documents, corpus) == splits
    with pytest.raises(Failure, match="too small to split"):
        assign_splits(documents[:2], corpus)


def test_shards_hold_every_document_once(corpus):
    documents, _ = sort_out(records(corpus, source_files(corpus)), LIMITS)
    assert [document for group in plan_shards(documents, 4) for document in group] == documents


def test_the_standard_library_is_a_corpus_of_long_documents():
    corpus = Corpus(source="python-stdlib")
    documents, rejected = sort_out(records(corpus, source_files(corpus)), LIMITS)
    assert len(documents) > 50
    assert sum(len(document.text) for document in documents) > 5_000_000
    assert not any(record.reason == "unreadable" for record in rejected)
    assert not any("/test/" in file.name or file.name.startswith("/") for file in source_files(corpus))
