"""From chunks to passages: keys, the index on disk, what it finds, and what is refused; each on artifacts
made by the stages themselves.
"""

import shutil
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from data_contracts.contract import commit, fact, open_artifact, write_shard
from data_contracts.failure import Exit, Failure
from data_contracts.passages import CORPUS_NEIGHBOURS, KEYS, NEAREST, RANDOM
from data_contracts.tokens import CHUNKS, list_rows
from model.hugging_face_files import digest
from stages.index import build, store
from stages.index.build import make_index
from stages.index.encoders import load_encoder
from stages.index.keys import key_array, keys
from stages.index.neighbours import corpus_neighbours
from stages.index.overlap import longest_common_runs
from stages.index.store import MANIFEST, open_index
from stages.parameters import CorpusNeighbours, Index, PassageEncoder
from tests.conftest import ROOT
from tests.stages.artifacts import write_artifact, write_tokenizer
from tests.stages.tiny_bert import write_bert
from tests.tiny import tiny_context

ENCODER, SIZES = (
    PassageEncoder(width=64),
    CorpusNeighbours(neighbours=2, evaluation_neighbours=3, random=2, margin=1),
)


def texts() -> dict[str, tuple[str, np.ndarray]]:
    """Four documents of 12 chunks of 8 tokens and 3 tokens more; chunks 4 and 5 of `a` stand in `c` as chunks
    7 and 8, and in test `d`.
    """
    rng = np.random.default_rng(0)
    tokens = {name: rng.integers(1, 200, 12 * 8 + 3) for name in "abcd"}
    tokens["c"][56:72] = tokens["a"][32:48]
    tokens["d"][16:32] = tokens["a"][32:48]
    return {name: ("test" if name == "d" else "train", values) for name, values in tokens.items()}


@pytest.fixture
def home(tmp_path, make_chunks, geometry):
    """Chunks in two shards, and keys of them."""
    write_tokenizer(tmp_path)
    known = texts()
    write_artifact(
        CHUNKS,
        tmp_path / "chunks",
        make_chunks({n: known[n] for n in "ab"}),
        make_chunks({n: known[n] for n in "cd"}),
    )
    make_keys(tmp_path, geometry)
    (tmp_path / "scratch").mkdir()
    return tmp_path


def make_keys(home, geometry, encoder=ENCODER):
    chunks = open_artifact(CHUNKS, home / "chunks")
    shutil.rmtree(home / "keys", ignore_errors=True)
    write_artifact(
        KEYS,
        home / "keys",
        *(keys(chunks.read(shard), geometry, encoder, home / "tokenizer") for shard in chunks.shards),
    )


def make(home, geometry, index=Index()):  # noqa: B008
    context = tiny_context(home)
    make_index(context, geometry, index)
    shutil.rmtree(home / "index", ignore_errors=True)
    (home / "scratch" / "index").rename(home / "index")
    return open_index(home / "index")


def neighbours(home, geometry, shard, sizes=SIZES):
    known, chunks = open_artifact(KEYS, home / "keys"), open_artifact(CHUNKS, home / "chunks")
    return pa.concat_tables(
        corpus_neighbours(known.read(shard), chunks.read(shard), geometry, sizes, home / "index")
    )


def test_the_index_holds_each_whole_chunk_of_train_with_what_follows_it(home, geometry):
    index = make(home, geometry)
    assert index.documents == ["a", "b", "c"]
    assert len(index) == 36
    tokens = texts()
    for row in (0, 11, 12, 35):
        doc, chunk = index.documents[index.document_N[row]], int(index.chunk_N[row])
        text = np.concatenate((tokens[doc][1], np.full(8, tokens[doc][1][-1])))
        assert index.passages_NR[row].tolist() == text[8 * chunk : 8 * chunk + 16].tolist()
    encode = load_encoder(ENCODER, home / "tokenizer", 8).encode
    np.testing.assert_allclose(index.keys_ND, encode(index.passages_NR[:, :8]), atol=1e-6)


def test_the_copy_in_another_document_is_found_and_never_one_of_the_own(home, geometry):
    make(home, geometry)
    first, second = (neighbours(home, geometry, f"part-0000{shard}.parquet") for shard in (0, 1))
    for table in (first, second):
        CORPUS_NEIGHBOURS.validate(table, "neighbours")
    best = {
        (row["doc_id"], row["query_chunk"]): row
        for row in pa.concat_tables([first, second]).to_pylist()
        if (row["origin"], row["rank"]) == (NEAREST, 0)
    }
    assert {(row["source_doc"], row["source_chunk"]) for row in (best["a", 4], best["d", 2])} <= {
        ("c", 7),
        ("a", 4),
    }
    found = best["a", 4]
    assert (found["source_doc"], found["source_chunk"], found["distance"]) == ("c", 7, 0.0)
    assert (found["query_overlap"], found["target_overlap"]) == (8, 8)
    assert best["d", 2]["source_chunk"] in (4, 7)
    assert all(row["query_overlap"] < 4 for key, row in best.items() if key in {("a", 0), ("b", 3), ("d", 9)})
    assert len(best) == 48


def test_the_margin_widens_until_there_are_enough(home, geometry):
    """The chunks of a document lie nearest to each other here, so that more of the own are met than the
    margin holds.
    """
    rng = np.random.default_rng(1)
    chunks = open_artifact(CHUNKS, home / "chunks")
    for shard in chunks.shards:
        table = open_artifact(KEYS, home / "keys").read(shard)
        near = np.repeat(np.arange(table.num_rows // 12) * 100.0, 12)[:, None] + rng.standard_normal(
            (table.num_rows, 64)
        )
        columns = {name: table.column(name) for name in ("doc_id", "split", "chunk")}
        columns["key"] = pa.ListArray.from_arrays(
            np.arange(table.num_rows + 1, dtype=np.int32) * 64, near.astype(np.float32).ravel()
        )
        write = KEYS.table(columns, encoder=fact(table, "encoder"), width=64)
        (home / "keys" / shard).unlink()
        write_shard(KEYS, write, home / "keys" / shard)
    commit(KEYS, home / "keys")
    index = make(home, geometry)
    for row in neighbours(home, geometry, "part-00000.parquet").to_pylist():
        assert row["source_doc"] != row["doc_id"]
    exact, known = index.keys_ND[:], open_artifact(KEYS, home / "keys").read("part-00000.parquet")
    query = key_array(known)[3]
    others = np.flatnonzero(index.document_N != 0)
    expected = others[np.argsort(((exact[others] - query) ** 2).sum(axis=1), kind="stable")[:2]]
    found = [
        r
        for r in neighbours(home, geometry, "part-00000.parquet").to_pylist()
        if (r["doc_id"], r["query_chunk"]) == ("a", 3)
    ]
    assert [r["source_chunk"] for r in found if r["origin"] == NEAREST] == index.chunk_N[expected].tolist()


def test_an_approximate_index_finds_as_many_and_its_recall_is_said(home, geometry):
    for kind in ("hnsw", "ivf_pq"):
        index = make(home, geometry, Index(exact_below=0, approximate=kind, probes=2, recall_queries=5))
        assert index.about["kind"] == kind
        assert 0 < index.about["recall"] <= 1
        CORPUS_NEIGHBOURS.validate(neighbours(home, geometry, "part-00000.parquet"), kind)
        shutil.rmtree(home / "scratch")
        (home / "scratch").mkdir()


def test_random_passages_are_a_function_of_the_chunk_and_of_other_documents(home, geometry):
    make(home, geometry)
    one, again = (
        neighbours(home, geometry, "part-00000.parquet", replaced).to_pylist() for replaced in (SIZES, SIZES)
    )
    assert one == again
    drawn = [row for row in one if row["origin"] == RANDOM]
    assert len(drawn) == 2 * 24
    assert len({(row["source_doc"], row["source_chunk"]) for row in drawn}) > 15
    other = neighbours(home, geometry, "part-00000.parquet", SIZES.model_copy(update={"seed": 1})).to_pylist()
    assert [row for row in other if row["origin"] == NEAREST] == [
        row for row in one if row["origin"] == NEAREST
    ]
    assert [row for row in other if row["origin"] == RANDOM] != drawn


KILLED = """
import os, signal, sys
from pathlib import Path
from stages.index import build
from stages.parameters import Index
from tests.tiny import tiny_context, tiny_geometry

part = build._part

def killing(keys, chunks, shard, size):
    if shard == "part-00001.parquet":
        os.kill(os.getpid(), signal.SIGKILL)
    return part(keys, chunks, shard, size)

build._part = killing
build.make_index(tiny_context(Path(sys.argv[1])), tiny_geometry(), Index())
"""


def test_a_build_that_was_killed_goes_on_and_gives_the_same_bytes(home, geometry, monkeypatch):
    whole = {path.name: path.read_bytes() for path in make(home, geometry).directory.iterdir()}
    shutil.rmtree(home / "scratch")
    (home / "scratch").mkdir()
    killed = subprocess.run([sys.executable, "-c", KILLED, home], cwd=ROOT, check=False, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert not (home / "scratch" / "index" / MANIFEST).exists()
    with pytest.raises(Failure, match="no whole index"):
        open_index(home / "scratch" / "index")
    read, part = [], build._part
    monkeypatch.setattr(
        build,
        "_part",
        lambda keys, chunks, shard, size: read.append(shard) or part(keys, chunks, shard, size),
    )
    index = make(home, geometry)
    assert read == ["part-00001.parquet"], "a copied shard is not copied again"
    assert {path.name: path.read_bytes() for path in index.directory.iterdir()} == whole


def test_another_encoder_is_refused(home, geometry):
    make(home, geometry)
    make_keys(home, geometry, PassageEncoder(width=64, seed=1))
    with pytest.raises(Failure, match="is of another encoder") as failure:
        neighbours(home, geometry, "part-00000.parquet")
    assert failure.value.code == Exit.CONTRACT


def test_an_index_of_another_version_of_the_corpus_is_refused(home, geometry, make_chunks):
    make(home, geometry)
    known = texts()
    shutil.rmtree(home / "chunks")
    write_artifact(
        CHUNKS, home / "chunks", make_chunks({n: known[n] for n in "ab"}), make_chunks({"d": known["d"]})
    )
    make_keys(home, geometry)
    with pytest.raises(Failure, match="is of another version of the corpus") as failure:
        neighbours(home, geometry, "part-00000.parquet")
    assert failure.value.code == Exit.CONTRACT


def test_keys_of_another_corpus_are_refused(home, geometry, make_chunks):
    known = texts()
    shutil.rmtree(home / "chunks")
    write_artifact(
        CHUNKS,
        home / "chunks",
        make_chunks({"a": known["b"], "b": known["a"]}),
        make_chunks({n: known[n] for n in "bd"}),
    )
    with pytest.raises(Failure, match="not of the same corpus"):
        make(home, geometry)


def test_too_few_passages_are_refused_and_nothing_is_written(home, geometry):
    make(home, geometry)
    with pytest.raises(Failure, match="24 passages stand outside a, 25 are asked for") as failure:
        neighbours(home, geometry, "part-00000.parquet", SIZES.model_copy(update={"neighbours": 25}))
    assert failure.value.code == Exit.USAGE


def test_a_key_that_is_not_finite_is_refused(home):
    table = open_artifact(KEYS, home / "keys").read("part-00000.parquet")
    values = key_array(table).copy()
    values[3, 5] = np.nan
    columns = {name: table.column(name) for name in ("doc_id", "split", "chunk")}
    columns["key"] = pa.ListArray.from_arrays(np.arange(len(values) + 1, dtype=np.int32) * 64, values.ravel())
    with pytest.raises(Failure, match="a key that is not finite"):
        KEYS.validate(KEYS.table(columns, encoder={}, width=64), "keys")


def test_a_changed_file_is_no_index(home, geometry):
    index = make(home, geometry)
    manifest = index.directory / MANIFEST
    before = manifest.read_text()
    manifest.write_text(before.replace('"metric": "', '"metric": "x', 1))
    with pytest.raises(Failure, match="does not fit what it says"):
        open_index(index.directory)
    manifest.write_text(before)
    with open(index.directory / "passages.npy", "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x07")
    store._opened.cache_clear()
    with pytest.raises(Failure, match=r"passages\.npy is not as it was written"):
        open_index(index.directory)


def test_nothing_to_index(home, geometry, make_chunks):
    shutil.rmtree(home / "chunks")
    write_artifact(CHUNKS, home / "chunks", make_chunks({"d": ("test", np.arange(1, 90))}))
    make_keys(home, geometry)
    with pytest.raises(Failure, match="there is nothing to index"):
        make(home, geometry)


def test_a_bert_is_read_as_the_mean_of_its_states(home, tmp_path):
    """Padding and neighbours in the batch change nothing."""
    write_bert(tmp_path / "bert", ["some text of a few words"])
    section = PassageEncoder(encoder="bert", name=str(tmp_path / "bert"), revision=digest(tmp_path / "bert"))
    encoder = load_encoder(section, home / "tokenizer", 8)
    chunks = np.random.default_rng(0).integers(1, 256, (70, 8))
    found = encoder.encode(chunks)
    assert found.shape == (70, 16)
    np.testing.assert_allclose(encoder.encode(chunks[66:68]), found[66:68], atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_minilm_that_is_not_installed_is_a_matter_of_the_environment(home, monkeypatch):
    monkeypatch.setattr("stages.index.encoders.PACKAGE", "no_such_package")
    with pytest.raises(Failure, match=r"requirements-minilm\.txt") as failure:
        load_encoder(PassageEncoder(encoder="minilm"), home / "tokenizer", 8)
    assert failure.value.code == Exit.ENVIRONMENT


def longest(text, other) -> int:
    return max(
        (
            n
            for i in range(len(text))
            for j in range(len(other))
            for n in range(1, len(text) - i + 1)
            if text[i : i + n] == other[j : j + n]
        ),
        default=0,
    )


def test_the_longest_common_run_is_that_of_comparing_all():
    rng = np.random.default_rng(0)
    text_QM, other_QPR = rng.integers(0, 3, (5, 6)), rng.integers(0, 3, (5, 4, 9))
    text_QM[0, 3:] = -1
    found = longest_common_runs(text_QM, other_QPR)
    for query, text in enumerate(text_QM.tolist()):
        for place, other in enumerate(other_QPR[query].tolist()):
            assert found[query, place] == longest([x for x in text if x >= 0], other), (query, place)
    assert longest_common_runs(text_QM[:0], other_QPR[:0]).shape == (0, 4)


def test_blocks_of_queries_change_nothing(home, geometry, monkeypatch):
    make(home, geometry)
    whole = neighbours(home, geometry, "part-00000.parquet")
    monkeypatch.setattr("stages.index.neighbours.BLOCK_QUERIES", 5)
    monkeypatch.setattr("stages.index.overlap.BLOCK_CELLS", 100)
    assert neighbours(home, geometry, "part-00000.parquet").equals(whole)
    assert all(len(row) == 16 for row in list_rows(whole.column("token_ids")))
