"""The library says what the tables say: perplexities, losses and gains, whatever the order; and refuses what
does not fit together.
"""

import math
import shutil

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from data_contracts.candidates import LABELS
from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.evaluations import EVALUATIONS
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS
from reports.explorer.address import Look
from reports.explorer.library import Library
from reports.explorer.run import Reading
from reports.labels.index import SPARKS
from tests.reports.explorer.evaluated import evaluate

OURS, THEIRS = Reading("a-rpt_sem"), Reading("a-transformer_xl")


def of(rows, reading):
    return rows.filter((pl.col("run") == reading.run) & (pl.col("setting") == reading.setting))


def test_every_reading_has_the_perplexity_of_its_rows(library, rows):
    assert [str(reading) for reading in library.readings][:3] == [
        "a-retro",
        "a-retro:none",
        "a-retro:first_1",
    ]
    assert Reading("a-rpt_sem", "oracle") in library.readings
    for reading in library.readings:
        own = of(rows, reading)
        expected = math.exp(own["loss"].cast(pl.Float64).sum() / own["tokens"].sum())
        assert library.runs[reading.run].perplexity(reading.setting) == pytest.approx(expected)


def test_what_is_shown_first(library):
    assert (library.shown(), library.compared_with(OURS)) == (OURS, THEIRS)
    assert library.compared_with(THEIRS) == THEIRS


def test_without_a_baseline_a_run_is_compared_with_itself_without_neighbours(corpus, tmp_path):
    for name in ("documents", "chunks", "labels"):
        shutil.copytree(corpus / name, tmp_path / "x" / name)
    evaluate(tmp_path / "x", "only", "rpt_sem", ("own", "none"), skill=0.5)
    alone = Library(tmp_path / "x", tmp_path, None)
    assert alone.compared_with(alone.shown()) == Reading("only", "none")
    document = alone.document(alone.documents["key"][0])
    assert document.bm25.is_empty()  # there are no candidates


def test_figures_of_documents(library, rows):
    figures = library.figures(OURS, THEIRS)
    for doc_id, loss, gain, sparks in zip(library.documents["doc_id"], *figures.iter_columns(), strict=True):
        ours, theirs = (
            of(rows, reading).filter(pl.col("doc_id") == doc_id).sort("chunk") for reading in (OURS, THEIRS)
        )
        assert loss == pytest.approx(ours["loss"].sum() / ours["tokens"].sum(), rel=1e-5)
        assert gain == pytest.approx(
            (theirs["loss"].sum() - ours["loss"].sum()) / ours["tokens"].sum(), rel=1e-3
        )
        stretch = (ours["chunk"].to_numpy() + 1) * SPARKS // len(ours)
        difference = theirs["loss"].to_numpy().astype(float) - ours["loss"].to_numpy()
        per_token = np.bincount(stretch, difference, SPARKS) / np.bincount(
            stretch, ours["tokens"].to_numpy(), SPARKS
        )
        assert np.allclose(sparks, per_token * ours["tokens"].sum() / len(ours), rtol=1e-3, atol=1e-3)


def test_a_document_has_the_losses_and_gains_of_its_rows(library, rows):
    document = library.document(library.documents["key"][1])
    own = {
        reading: (
            of(rows, reading)
            .filter((pl.col("doc_id") == document.facts.doc_id) & (pl.col("chunk") >= 0))
            .sort("chunk")
        )
        for reading in library.readings
    }
    for reading, table in own.items():
        assert np.isnan(document.losses[reading][-1])
        assert np.array_equal(document.losses[reading][:-1], table["loss"].to_numpy())
    gain = document.gain(OURS, THEIRS)
    assert np.allclose(gain[:-1], own[THEIRS]["loss"].to_numpy().astype(float) - own[OURS]["loss"].to_numpy())
    found = library.rows(document.facts.doc_id, 40)
    assert list(found) == library.readings
    for reading, row in found.items():
        assert row.token_losses == own[reading]["token_losses"][40].to_list()


@pytest.mark.parametrize("sort", ["source", "chunks", "loss", "gain"])
@pytest.mark.parametrize("direction", ["", "-"])
def test_lists_are_sorted(library, sort, direction):
    table = pl.concat([library.documents, library.figures(OURS, THEIRS)], how="horizontal")
    expected = table.sort(sort, descending=direction == "-", maintain_order=True)["number"]
    assert library.listed(Look(sort=direction + sort), OURS, THEIRS).to_list() == expected.to_list()


def test_the_index_is_made_once(corpus, library):
    seen = []
    Library(corpus, corpus / "index", None, lambda run: lambda done, total: seen.append(run))
    assert seen == []


def test_a_corpus_without_evaluations_says_how_to_make_them(tmp_path):
    with pytest.raises(Failure, match="holds no run") as raised:
        Library(tmp_path, tmp_path, None)
    assert raised.value.code == Exit.USAGE
    assert "rpt run evaluation" in raised.value.remedy


def changed(corpus, home, change):
    """A copy of a corpus whose first shard of one run is as `change` makes it."""
    shutil.copytree(corpus, home)
    directory = home / "evaluations" / "a-transformer_xl"
    table = open_artifact(EVALUATIONS, directory).read("part-00000.parquet")
    write_shard(EVALUATIONS, change(table), directory / "part-00000.parquet")
    return directory


def test_a_shard_that_is_not_what_its_manifest_says(corpus, tmp_path):
    changed(corpus, tmp_path / "x", lambda table: table.slice(0, 50))
    with pytest.raises(Failure, match="not what the manifest says") as raised:
        Library(tmp_path / "x", tmp_path, None)
    assert raised.value.code == Exit.CONTRACT


def test_rows_that_change_while_they_are_looked_at(corpus, tmp_path):
    shutil.copytree(corpus, tmp_path / "x")
    library = Library(tmp_path / "x", tmp_path, None)
    shutil.rmtree(tmp_path / "x")
    changed(corpus, tmp_path / "x", lambda table: table.slice(0, 50))
    with pytest.raises(Failure, match="it changed while it was looked at"):
        library.document(library.documents["key"][0])


def test_losses_over_other_tokens_are_not_compared(corpus, tmp_path):
    def fewer(table):
        cut = pl.DataFrame(pl.from_arrow(table)).with_columns(pl.col("token_losses").list.head(10))
        cut = cut.with_columns(tokens=pl.lit(10, pl.Int32), loss=pl.col("token_losses").list.sum())
        return cut.to_arrow().cast(table.schema)

    commit(EVALUATIONS, changed(corpus, tmp_path / "x", fewer))
    library = Library(tmp_path / "x", tmp_path, None)
    document = library.document(library.documents["key"][0])
    assert np.isnan(document.gain(OURS, THEIRS)).all()
    figures = library.figures(OURS, THEIRS)
    assert figures["gain"][0] is None
    assert figures["gain"][-1] is not None


def test_evaluations_of_other_chunks_are_refused(corpus, tmp_path):
    def longer(table):
        doubled = pl.DataFrame(pl.from_arrow(table)).with_columns(
            pl.concat_list("token_losses", "token_losses").alias("token_losses")
        )
        return (
            doubled.with_columns(tokens=pl.col("tokens") * 2, loss=pl.col("loss") * 2)
            .to_arrow()
            .cast(table.schema)
        )

    commit(EVALUATIONS, changed(corpus, tmp_path / "x", longer))
    library = Library(tmp_path / "x", tmp_path, None)
    with pytest.raises(Failure, match="was cut into other chunks since"):
        library.document(library.documents["key"][0])


def test_a_document_that_chunks_no_longer_hold_is_refused(corpus, tmp_path):
    shutil.copytree(corpus, tmp_path / "x")
    chunks = open_artifact(CHUNKS, tmp_path / "x" / "chunks")
    table = chunks.read("part-00000.parquet")
    write_shard(
        CHUNKS,
        table.filter(pc.not_equal(table["doc_id"], table["doc_id"][0])),
        chunks.directory / "part-00000.parquet",
    )
    commit(CHUNKS, chunks.directory)
    library = Library(tmp_path / "x", tmp_path, None)
    gone = library.documents.filter(pl.col("doc_id") == table["doc_id"][0].as_py())["key"][0]
    with pytest.raises(Failure, match="was cut into other chunks since"):
        library.document(gone)


def test_candidates_behind_the_last_chunk_are_left_out(corpus, tmp_path):
    shutil.copytree(corpus, tmp_path / "x")
    labels = open_artifact(LABELS, tmp_path / "x" / "labels")
    for shard in labels.shards:
        table = labels.read(shard)
        for name in ("query_chunk", "candidate_chunk"):
            moved = pc.add(table[name], pa.scalar(1024, pa.int32()))
            table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), moved)
        write_shard(LABELS, table, labels.directory / shard)
    commit(LABELS, labels.directory)
    library = Library(tmp_path / "x", tmp_path, None)
    document = library.document(library.documents["key"][0])
    assert document.scores.is_empty()
    assert not document.bm25.is_empty()


def test_an_evaluation_without_its_headline_is_refused(corpus, tmp_path):
    for name in ("documents", "chunks", "labels"):
        shutil.copytree(corpus / name, tmp_path / "x" / name)
    evaluate(tmp_path / "x", "odd", "rpt_sem", ("none",), skill=0.5)
    with pytest.raises(Failure, match="no row of setting 'own'"):
        Library(tmp_path / "x", tmp_path, None)
