"""A label set opened for looking at: its index says what its rows say, and damage or a mix-up is an error."""

import numpy as np
import polars as pl
import pytest

from benchmarks._label_sets import CHUNK_TOKENS, SCORER, STRIDE_CHUNKS, make_label_set
from data_contracts.failure import Exit, Failure
from reports.labels.index import SPARKS, best_candidates
from reports.labels.label_set import open_label_set


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("corpus")
    make_label_set(home, documents=7, chunks=40, candidates=5, shards=3)
    return home


@pytest.fixture(scope="module")
def label_set(home):
    return open_label_set(home / "labels", home / "cache")


def test_the_index_has_every_document_and_its_figures(home, label_set):
    rows = pl.read_parquet(home / "labels" / "*.parquet")
    assert label_set.documents["doc_id"].to_list() == rows["doc_id"].unique(maintain_order=True).to_list()
    assert label_set.documents["pairs"].sum() == len(rows)
    assert label_set.documents["positive"].sum() == (rows["target_score"] > 0).sum()
    for document in label_set.documents.iter_rows(named=True):
        own = rows.filter(pl.col("doc_id") == document["doc_id"])
        best = own.group_by("query_chunk").agg(pl.col("target_score").max())["target_score"]
        assert document["queries"] == len(best)
        assert document["chunks"] == 40
        assert document["source"].startswith("book-")
        assert document["best_mean"] == pytest.approx(best.mean(), rel=1e-5)
        assert document["best_max"] == best.max()


def test_rows_and_texts_of_a_document_are_its_own(home, label_set):
    rows, chunks = (
        pl.read_parquet(home / "labels" / "*.parquet"),
        pl.read_parquet(home / "chunks" / "*.parquet"),
    )
    for doc_id in label_set.documents["doc_id"]:
        assert label_set.labels(doc_id).equals(rows.filter(pl.col("doc_id") == doc_id))
        assert label_set.chunks(doc_id).equals(chunks.filter(pl.col("doc_id") == doc_id))


def test_rows_of_several_documents_come_in_the_order_of_the_set(home, label_set):
    """The first, one of another shard and the last: what lies between is read and left out."""
    ids = label_set.documents["doc_id"]
    wanted = [ids[6], ids[0], ids[3]]
    for name, read in (("labels", label_set.labels_of), ("chunks", label_set.chunks_of)):
        rows = (
            pl.read_parquet(home / name / "*.parquet")
            .filter(pl.col("doc_id").is_in(wanted))
            .select("doc_id", "split")
        )
        assert read(wanted, ["doc_id", "split"]).equals(rows)


def test_a_shard_that_changed_while_it_was_looked_at_is_refused(tmp_path):
    make_label_set(tmp_path, documents=2, chunks=20, candidates=3)
    opened = open_label_set(tmp_path / "labels", tmp_path / "cache")
    make_label_set(tmp_path, documents=2, chunks=20, candidates=2)
    with pytest.raises(Failure, match="it changed") as failure:
        opened.labels_of(opened.documents["doc_id"], ["doc_id"])
    assert failure.value.code == Exit.CONTRACT


def test_a_sparkline_is_the_mean_best_score_along_the_document(label_set):
    document = label_set.documents.row(2, named=True)
    best = label_set.labels(document["doc_id"]).group_by("query_chunk").agg(pl.col("target_score").max())
    place = best["query_chunk"].to_numpy() * SPARKS // 40
    expected = [
        best["target_score"].to_numpy()[place == spark].mean() if (place == spark).any() else np.nan
        for spark in range(SPARKS)
    ]
    assert np.allclose(
        pl.Series(document["sparks"], dtype=pl.Float64).fill_null(np.nan).to_numpy(),
        expected,
        equal_nan=True,
        rtol=1e-5,
    )


def test_facts_come_from_the_files(label_set):
    assert label_set.scorer == SCORER
    assert (label_set.chunk_tokens, label_set.stride_chunks, label_set.sequence_chunks) == (
        CHUNK_TOKENS,
        STRIDE_CHUNKS,
        40,
    )


def test_the_index_is_made_once(home, label_set):
    kept = {path: path.stat().st_mtime_ns for path in (home / "cache").iterdir()}
    again = open_label_set(home / "labels", home / "cache")
    assert again.documents.equals(label_set.documents)
    assert {path: path.stat().st_mtime_ns for path in (home / "cache").iterdir()} == kept


def test_queries_are_indexed_with_their_best_candidate(home, label_set):
    rows = pl.read_parquet(home / "labels" / "*.parquet")
    queries = pl.concat([label_set.queries(shard) for shard in range(3)])
    own = queries.with_columns(doc_id=label_set.documents["doc_id"].gather(queries["document"]))
    assert len(own) == len(rows.select("doc_id", "query_chunk").unique())
    for query in own.iter_rows(named=True):
        candidates = rows.filter(
            (pl.col("doc_id") == query["doc_id"]) & (pl.col("query_chunk") == query["query_chunk"])
        )
        best = candidates.sort("target_score", "rank", descending=[True, False]).row(0, named=True)
        assert (query["best"], query["best_rank"]) == (best["target_score"], best["rank"])
        assert query["first"] == candidates.filter(pl.col("rank") == 0)["target_score"][0]


def test_of_equal_candidates_the_best_is_the_first_of_bm25():
    rows = pl.DataFrame(
        {
            "doc_id": ["a"] * 4,
            "query_chunk": [1] * 4,
            "candidate_chunk": [7, 5, 3, 2],
            "rank": [0, 1, 2, 3],
            "target_score": [1.0, 2.0, 2.0, -1.0],
        }
    )
    assert best_candidates(rows).row(0, named=True) == {
        "doc_id": "a",
        "query_chunk": 1,
        "best": 2.0,
        "best_rank": 1,
        "candidate": 5,
        "first": 1.0,
    }


def test_a_damaged_index_is_made_again_and_damaged_queries_are_an_error(home, tmp_path):
    opened = open_label_set(home / "labels", tmp_path)
    cut(opened.index)
    assert open_label_set(home / "labels", tmp_path).documents.equals(opened.documents)
    cut(opened.index.with_name(f"{opened.index.stem}.queries.parquet"))
    with pytest.raises(Failure, match="delete"):
        opened.queries(0)


def cut(path):
    """Leave a third of a file."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])


def test_making_an_index_tells_how_far_it_is(home, tmp_path):
    told = []
    open_label_set(home / "labels", tmp_path, lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    open_label_set(home / "labels", tmp_path, lambda done, total: told.append((done, total)))
    assert len(told) == 4


def test_an_unknown_document_is_named(label_set):
    with pytest.raises(Failure, match="'nothing'") as failure:
        label_set.labels("nothing")
    assert failure.value.code == Exit.USAGE


def test_a_damaged_shard_is_refused_while_the_index_is_made(tmp_path):
    make_label_set(tmp_path, documents=2, chunks=20, candidates=3)
    victim = tmp_path / "chunks" / "part-00000.parquet"
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    with pytest.raises(Failure, match="not what the manifest says") as failure:
        open_label_set(tmp_path / "labels", tmp_path / "cache")
    assert failure.value.code == Exit.CONTRACT


def test_labels_without_their_chunks_are_refused(tmp_path):
    make_label_set(tmp_path / "a", documents=2, chunks=20, candidates=3)
    make_label_set(tmp_path / "b", documents=1, chunks=20, candidates=3)
    (tmp_path / "a" / "chunks").rename(tmp_path / "gone")
    (tmp_path / "b" / "chunks").rename(tmp_path / "a" / "chunks")
    with pytest.raises(Failure, match="lacks a document"):
        open_label_set(tmp_path / "a" / "labels", tmp_path / "cache")
