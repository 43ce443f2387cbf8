"""What the past is worth: figures by hand from made-up mixtures, the table, and the section of the page."""

import math
from types import SimpleNamespace

import polars as pl
import pytest

from data_contracts.ceilings import MIXTURES
from reports.comparison.tables import ceilings as compared
from reports.html.parts import NOT_LOGGED
from reports.metrics.ceilings import ceiling_figures
from reports.metrics.evaluation_rows import frames_of
from reports.metrics.resampling import Estimate
from reports.run.ceiling_section import HEAD, ceilings, cells
from tests.reports.ceilings_sample import GAINS, mixed

RUNS = {"demo-transformer_xl": "transformer_xl", "demo-retro": "retro"}


@pytest.fixture(scope="module")
def frames(evaluations_sample):
    """Ten documents, enough for intervals."""
    sample = evaluations_sample.made_up(10, 70, ("transformer_xl", "retro"))
    tables = [
        *sample.evaluations.items(),
        ("demo-transformer_xl", mixed(sample.evaluations["demo-transformer_xl"])),
    ]
    return frames_of(tables)


@pytest.fixture(scope="module")
def rows(frames):
    return ceiling_figures(frames, RUNS, dict.fromkeys(RUNS, 0), 50)


def test_each_group_stands_after_the_model_alone_on_the_same_documents(rows):
    assert [(row.setting, row.documents, row.runs) for row in rows] == [
        *((name, 10, 1) for name in ("own", "ngram_train", "ngram_cache", "ngram_train_cache")),
        *((name, 1, 1) for name in ("own", "knn_lm")),
    ]


def test_gains_are_those_of_the_tokens_they_are_over(rows, frames):
    own = frames["demo-transformer_xl", "own"]
    for row in rows:
        if row.setting == "own":
            assert row.gain is row.gain_with_neighbours is None
            continue
        here = own.filter(pl.col("doc_id") == own["doc_id"].min()) if row.setting == "knn_lm" else own
        tokens, could = here["tokens"].sum(), here.filter(pl.col("eligible") > 0)["tokens"].sum()
        everywhere, with_neighbour = GAINS[row.setting]
        mean = (everywhere * (tokens - could) + with_neighbour * could) / tokens
        assert row.gain.value == pytest.approx(mean, abs=1e-5)
        assert row.gain_with_neighbours.value == pytest.approx(with_neighbour, abs=1e-5)
        alone = next(other for other in rows if other.setting == "own" and other.documents == row.documents)
        assert row.perplexity == pytest.approx(alone.perplexity * math.exp(-mean), rel=1e-4)
        assert row.perplexity_with_neighbours == pytest.approx(
            alone.perplexity_with_neighbours * math.exp(-with_neighbour), rel=1e-4
        )


def test_what_is_mixed_with_the_control_too_has_its_gain_over_it(rows):
    over = {row.setting: row.over_training for row in rows}
    by_name = {row.setting: row.gain.value for row in rows if row.gain}
    assert {name for name, gain in over.items() if gain} == {"ngram_train_cache"}
    assert over["ngram_train_cache"].value == pytest.approx(
        by_name["ngram_train_cache"] - by_name["ngram_train"], abs=1e-5
    )


def test_an_interval_is_paired_and_needs_documents(rows):
    by_name = {row.setting: row for row in rows}
    # All tokens gain the same, so no resample gains anything else.
    assert by_name["ngram_train"].gain == Estimate(0.25, 0.25, 0.25)
    found = by_name["ngram_cache"].gain
    assert found.low < found.value < found.high
    assert by_name["knn_lm"].gain.low is None


def test_several_seeds_are_their_mean(frames):
    key, worse = "demo-transformer_xl", "again"
    more = {
        (worse, setting): rows.with_columns(loss=pl.col("loss") * 2)
        for (run, setting), rows in frames.items()
        if run == key
    }
    systems = {key: "transformer_xl", worse: "transformer_xl"}
    rows = {row.setting: row for row in ceiling_figures(frames | more, systems, {key: 0, worse: 1}, 20)}
    assert rows["ngram_train"].runs == 2
    assert rows["ngram_train"].gain.value == pytest.approx(1.5 * 0.25, abs=1e-5)


def test_without_transformer_xl_or_without_mixtures_there_is_no_row(frames):
    own = {key: rows for key, rows in frames.items() if key[1] == "own"}
    assert ceiling_figures(own, RUNS, dict.fromkeys(RUNS, 0), 20) == []
    assert ceiling_figures(frames, {"demo-retro": "retro"}, {"demo-retro": 0}, 20) == []


def test_the_cells_of_a_row(rows):
    alone, train, *_ = (cells(row) for row in rows)
    assert len(alone) == len(train) == len(HEAD)
    assert alone[0] == "nothing"
    assert alone[2] == alone[4] == alone[5] == NOT_LOGGED
    assert train[0] == MIXTURES["ngram_train"]
    assert train[2] == "+0.250 [+0.250, +0.250]"
    assert cells(rows[-1])[2].count("[") == 0


def test_the_section_and_the_comparison_have_the_rows(rows, parse):
    html = ceilings(rows)
    assert parse(html).all_text("h2") == ["What the past holds"]
    assert MIXTURES["ngram_cache"] in html
    assert "No run of Transformer-XL was mixed" in ceilings([])
    plain = compared([SimpleNamespace(corpus="demo", ceilings=rows)])
    assert [row[0] for row in plain.rows][:2] == ["demo: nothing", f"demo: {MIXTURES['ngram_train']}"]
