"""Files are found by path, directory, glob and URL, with names that are the same everywhere and an identity
of their content.
"""

import json
import socket
from pathlib import Path

import fsspec
import pytest
from gcp_storage_emulator.server import create_server

from data_contracts.failure import Exit, Failure
from stages.ingestion.ingestion import STAGE
from stages.ingestion.inventory import content_identity
from stages.ingestion.sources import open_binary, source_files
from stages.parameters import Corpus, Ingestion, Runtime
from stages.runner.messages import Messages
from stages.runner.ray_map import stop_ray
from tests.nasty import prose
from tests.tiny import tiny_context


def names(source: object, **options) -> list[str]:
    return [file.name for file in source_files(Corpus(source=str(source), **options))]


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("b.txt", "a/c.txt", "a/d.py", "a/[x]*.txt"):
        path = tmp_path / "in put" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(prose(len(name)))
    return tmp_path / "in put"


def test_paths_directories_and_globs(folder, monkeypatch):
    assert names(folder) == ["a/[x]*.txt", "a/c.txt", "a/d.py", "b.txt"]
    assert names(folder / "b.txt") == ["b.txt"]
    assert names(folder / "a" / "[x]*.txt") == ["[x]*.txt"], "a path that is there is no glob"
    assert names(folder / "**" / "*.txt") == ["a/[x]*.txt", "a/c.txt", "b.txt"]
    assert names(folder / "*" / "c.txt") == ["a/c.txt"]
    assert names(folder, include=("*.py", "b*")) == ["a/d.py", "b.txt"]
    monkeypatch.chdir(folder)
    assert names("a") == ["[x]*.txt", "c.txt", "d.py"]
    assert open_binary(source_files(Corpus(source="b.txt"))[0]).read().decode() == prose(5)


def test_nothing_found_is_named(folder):
    (folder / "empty").mkdir()
    for source, include, cause in (
        (folder / "*.tex", (), "no file matches"),
        (folder, ("*.tex",), "none of the 4 files"),
        (folder / "empty", (), "empty' holds no file"),
    ):
        with pytest.raises(Failure, match=cause) as failure:
            names(source, include=include)
        assert failure.value.code == Exit.USAGE
    with pytest.raises(Failure, match="ftq") as failure:
        names("ftq://x/y")
    assert failure.value.code == Exit.USAGE


def test_a_local_file_that_cannot_be_opened_is_the_environments_fault(folder):
    file = source_files(Corpus(source=str(folder / "b.txt")))[0]
    (folder / "b.txt").unlink()
    with pytest.raises(Failure, match=r"b\.txt cannot be read") as failure:
        open_binary(file)
    assert failure.value.code == Exit.ENVIRONMENT


def test_the_content_of_a_local_file_is_hashed_once(folder):
    file = source_files(Corpus(source=str(folder / "b.txt")))[0]
    seen: dict[str, str] = {}
    identity = content_identity(file, {}, seen)
    assert identity.startswith("sha256:")
    assert content_identity(file, dict.fromkeys(seen, "known"), {}) == "known"


def test_a_store_that_cannot_tell_versions_apart_is_refused():
    fsspec.filesystem("memory").pipe("/corpus/a.txt", b"text")
    file = source_files(Corpus(source="memory://corpus"))[0]
    with pytest.raises(Failure, match="names no generation") as failure:
        content_identity(file, {}, {})
    assert failure.value.code == Exit.USAGE


@pytest.fixture
def bucket(monkeypatch):
    """A Google Cloud Storage server on loopback with one bucket."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="corpus")
    server.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    system = fsspec.get_filesystem_class("gs")
    system.clear_instance_cache()
    yield system(token="anon")
    system.clear_instance_cache()
    server.stop()


def test_a_bucket_is_a_source(bucket, tmp_path):
    for number in range(4):
        bucket.pipe(f"corpus/texts/{number}.txt", prose(number).encode())
    bucket.pipe("corpus/texts/more.jsonl", json.dumps({"text": prose(9)}).encode())
    corpus = Corpus(source="gs://corpus/texts")
    files = source_files(corpus)
    assert [file.name for file in files] == ["0.txt", "1.txt", "2.txt", "3.txt", "more.jsonl"]
    assert names("gs://corpus/texts/[02].txt") == ["0.txt", "2.txt"]
    before = content_identity(files[0], {}, {})
    bucket.pipe("corpus/texts/0.txt", prose(100).encode())
    type(bucket).clear_instance_cache()
    assert content_identity(source_files(corpus)[0], {}, {}) != before
    stop_ray()  # workers that another test has left know nothing of this store
    with open(tmp_path / "said", "w") as stream:
        context = tiny_context(
            tmp_path, corpus="c", source=corpus, runtime=Runtime(workers=1), say=Messages(stream)
        )
        STAGE.function(context, Ingestion(min_document_chars=20, max_quarantine_fraction=0, shards=4))
    stop_ray()
    assert "5 documents" in (tmp_path / "said").read_text()
