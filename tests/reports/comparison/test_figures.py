"""A comparison of made-up systems whose perplexities, seeds and costs are known."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace

import numpy as np
import polars as pl
import pytest

from data_contracts.failure import Exit, Failure
from reports.comparison.figures import Measured, corpus_comparison
from reports.comparison.page import markdown
from reports.comparison.rows import Comparison, SystemCost, Trained
from reports.metrics.evaluation_rows import frames_of
from reports.metrics.run_figures import run_figures

RETRIEVERS = {
    "transformer_xl": "none",
    "retro": "bm25",
    "random": "random",
    "rpt_lex": "own",
    "rpt_sem": "own",
}
SCALES = (0.99, 1.0, 1.02)
"""What multiplies the losses of each seed."""


def scaled(table, scale):
    """An evaluation with all losses multiplied."""
    return (
        pl.DataFrame(pl.from_arrow(table))
        .with_columns(loss=(pl.col("loss") * scale).cast(pl.Float32))
        .to_arrow()
    )


def measured_of(sample, module, scales=(1.0,), settings=None):
    """Every system of a sample with a seed for each scale; `settings` keeps only so many documents of
    settings other than own.
    """
    runs, frames = [], {}
    for number, system in enumerate(sample.systems.values()):
        for seed, scale in enumerate(scales):
            run = f"demo-{system}-s{seed}"
            found = frames_of([(run, scaled(sample.evaluations[f"demo-{system}"], scale))])
            if f"demo-{system}" in sample.oracles:
                found |= frames_of([(run, scaled(sample.oracles[f"demo-{system}"], scale))])
            if settings is not None:
                first = sorted(sample.chunks["doc_id"].unique())[:settings]
                found = {
                    key: rows if key[1] == "own" else rows.filter(pl.col("doc_id").is_in(first))
                    for key, rows in found.items()
                }
            frames |= found
            sizes = {
                "layers": 4,
                "width": 128,
                "heads": 4,
                "neighbours": 2,
                "cca_layers": [3, 4],
                "gate_window": 32,
            }
            runs.append(
                Trained(
                    run,
                    system,
                    seed,
                    RETRIEVERS[system],
                    1000 + number,
                    140,
                    2.0 + number,
                    1e9 * (1 + number),
                    sizes,
                )
            )
    return Measured(
        "demo",
        "test",
        runs,
        frames,
        sample.labels,
        sample.candidates,
        module.CHUNK_TOKENS,
        module.STRIDE_CHUNKS,
    )


@pytest.fixture(scope="module")
def ten(evaluations_sample):
    """Ten documents, enough for intervals."""
    return evaluations_sample.made_up(documents=10)


@pytest.fixture(scope="module")
def compared(ten, evaluations_sample):
    return corpus_comparison(measured_of(ten, evaluations_sample, SCALES), 100)


def row_of(found, system, setting="own"):
    return next((row for row in found.rows if (row.system, row.setting) == (system, setting)), None)


def test_one_seed_is_what_the_report_says(ten, evaluations_sample):
    found = corpus_comparison(measured_of(ten, evaluations_sample), 100)
    report = run_figures(ten.evidence(), 100)
    for system in report.systems:
        row = row_of(found, system.system)
        assert row.perplexity == pytest.approx(system.perplexity)
        assert row.by_seed == [row.perplexity]
        assert row.deviation is None
        if system.over_random and system.system != "transformer_xl":
            assert row.retrieval_gain.value == pytest.approx(system.over_random.value)
    by_name = {row.retriever: row for row in report.retrieval}
    for row in found.retrieval:
        name = "random" if row.retriever == "chance" else row.retriever
        assert row.figures["ndcg_at_20"] == pytest.approx(by_name[name].figures["ndcg_at_20"].value)


def test_a_row_is_the_mean_of_its_seeds(ten, compared):
    loss = {
        run: pl.DataFrame(pl.from_arrow(table)).filter(pl.col("setting") == "own")
        for run, table in ten.evaluations.items()
    }
    rows = loss["demo-rpt_sem"]
    expected = [math.exp(scale * rows["loss"].sum() / rows["tokens"].sum()) for scale in SCALES]
    row = row_of(compared, "rpt_sem")
    assert row.by_seed == pytest.approx(expected, rel=1e-5)
    assert row.perplexity == pytest.approx(np.mean(expected), rel=1e-5)
    assert row.deviation == pytest.approx(np.std(expected, ddof=1), rel=1e-3)
    assert row.low < row.perplexity < row.high
    assert row.runs == [f"demo-rpt_sem-s{seed}" for seed in range(3)]


def test_the_interval_of_the_mean_is_no_wider_with_equal_seeds(ten, evaluations_sample):
    one, three = (
        corpus_comparison(measured_of(ten, evaluations_sample, scales), 100)
        for scales in ((1.0,), (1.0, 1.0, 1.0))
    )
    for name in ("perplexity", "low", "high"):
        assert getattr(row_of(one, "retro"), name) == pytest.approx(getattr(row_of(three, "retro"), name))
    assert row_of(three, "retro").deviation == 0.0


def test_only_orders_beyond_the_seeds_are_claimed(ten, compared, evaluations_sample):
    """RPT-Sem gains 0.3 nats where there are neighbours, RETRO and RPT-Lex 0.1, random retrieval nothing;
    seeds scatter by 0.03 nats.
    """
    assert compared.orders.better_than["rpt_sem"] == ["retro", "rpt_lex", "transformer_xl", "random"]
    assert compared.orders.better_than["retro"] == ["transformer_xl", "random"]
    assert compared.orders.better_than["rpt_lex"] == ["transformer_xl", "random"]
    assert compared.orders.better_than["transformer_xl"] == []
    assert compared.orders.too_few_seeds == []
    two = corpus_comparison(measured_of(ten, evaluations_sample, SCALES[:2]), 20)
    assert not any(two.orders.better_than.values())
    assert set(two.orders.too_few_seeds) == set(ten.systems.values())


def test_the_oracle_is_lowest_and_not_the_best(compared):
    rows = [row for row in compared.rows if row.perplexity is not None]
    assert row_of(compared, "rpt_sem", "oracle") == min(rows, key=lambda row: row.perplexity)
    assert {(row.system, row.setting) for row in rows if row.lowest} <= {
        ("rpt_sem", name) for name in ("own", "first_3", "first_4")
    }
    assert row_of(compared, "rpt_sem").lowest


def test_more_neighbours_are_rows_of_systems_with_a_retriever_of_their_own(compared):
    assert {(row.system, row.setting) for row in compared.rows if row.setting not in ("own", "oracle")} == {
        (system, setting) for system in ("rpt_lex", "rpt_sem") for setting in ("first_3", "first_4")
    }
    assert row_of(compared, "rpt_sem", "oracle_all") is None


def test_a_swapped_retriever_is_a_row_of_any_system(ten, evaluations_sample):
    measured = measured_of(ten, evaluations_sample)
    assert row_of(corpus_comparison(measured, 10), "retro", "dpr") is None
    swapped = measured.frames["demo-retro-s0", "own"].with_columns(
        setting=pl.lit("dpr"), loss=pl.col("loss") * 1.1
    )
    found = corpus_comparison(
        replace(measured, frames={**measured.frames, ("demo-retro-s0", "dpr"): swapped}), 10
    )
    own, dpr = row_of(found, "retro"), row_of(found, "retro", "dpr")
    assert math.log(dpr.perplexity) == pytest.approx(1.1 * math.log(own.perplexity), rel=1e-4)
    assert dpr.gain.value < 0


def test_settings_of_fewer_documents_say_so_and_are_never_the_lowest(ten, evaluations_sample):
    found = corpus_comparison(measured_of(ten, evaluations_sample, settings=3), 50)
    few = row_of(found, "rpt_sem", "first_3")
    assert (few.documents, found.documents) == (3, 10)
    assert (few.low, few.high) == (None, None)
    assert few.gain.value > 0
    assert not few.lowest


def test_intervals_of_few_documents_are_not_meaningful(made_up, evaluations_sample):
    found = corpus_comparison(measured_of(made_up, evaluations_sample), 50)
    assert found.documents == 4
    assert {(row.low, row.high) for row in found.rows} == {(None, None)}
    assert row_of(found, "retro").gain.low is None


def test_other_tokens_are_not_compared(ten, evaluations_sample):
    measured = measured_of(ten, evaluations_sample)
    key = ("demo-retro-s0", "own")
    measured.frames[key] = measured.frames[key].slice(1)
    with pytest.raises(Failure, match="same tokens") as failure:
        corpus_comparison(measured, 10)
    assert failure.value.code == Exit.CONTRACT


def test_costs_are_over_those_of_transformer_xl(compared, ten, evaluations_sample):
    assert (compared.costs["transformer_xl"].time, compared.costs["transformer_xl"].operations) == (1.0, 1.0)
    assert (compared.costs["retro"].time, compared.costs["retro"].operations) == (1.5, 2.0)
    measured = measured_of(ten, evaluations_sample)
    without = replace(measured, runs=[run for run in measured.runs if run.system != "transformer_xl"])
    found = corpus_comparison(without, 10)
    assert found.costs["retro"].parameters == 1001
    assert (found.costs["retro"].time, found.costs["retro"].operations) == (None, None)
    assert row_of(found, "retro").gain is None


def test_what_is_not_evaluated_is_named_and_has_no_row(ten, evaluations_sample):
    measured = measured_of(ten, evaluations_sample)
    more = replace(measured, runs=[*measured.runs, Trained("demo-griffin", "griffin", 0, "none")])
    found = corpus_comparison(more, 10)
    assert row_of(found, "griffin") is None
    assert [run.trained.run for run in found.runs if not run.evaluated] == ["demo-griffin"]
    assert found.costs["griffin"] == SystemCost(None, None, None, None, None)
    nothing = corpus_comparison(replace(measured, frames={}), 10)
    assert (nothing.rows, nothing.retrieval, nothing.tokens_sha256) == ([], [], None)


def test_a_seed_that_diverged_has_no_perplexity_and_takes_the_mean_with_it(ten, evaluations_sample):
    found = corpus_comparison(measured_of(ten, evaluations_sample, (1.0, 1.0, 1e4)), 20)
    row = row_of(found, "retro")
    assert (row.perplexity, row.by_seed[2], row.deviation) == (None, None, None)
    assert not any(found.orders.better_than.values())
    json.dumps(asdict(found), allow_nan=False)


def test_without_labels_there_is_no_gold(ten, evaluations_sample):
    measured = measured_of(ten, evaluations_sample)
    assert corpus_comparison(replace(measured, labels=None), 10).retrieval == []


def test_retrieval_is_over_the_seeds_of_a_system(compared):
    rows = {row.retriever: row for row in compared.retrieval}
    assert list(rows) == ["chance", "recency", "BM25", "RPT-Lex", "RPT-Sem"]
    assert (rows["RPT-Sem"].runs, rows["BM25"].runs) == (3, 1)
    assert rows["RPT-Sem"].deviation["precision_at_2"] == pytest.approx(0.0)
    assert rows["BM25"].deviation["precision_at_2"] is None


def reading_corpus(measured):
    """The same with RETRO as a system that reads a corpus, and random retrieval as its control; without
    passages its losses are 1.2 times as high, with passages by chance 1.1 times.
    """
    names = {"retro": "retro_corpus", "random": "retro_corpus_random"}
    runs = [replace(run, system=names.get(run.system, run.system)) for run in measured.runs]
    runs = [
        replace(run, retriever="corpus" if run.system == "retro_corpus" else run.retriever) for run in runs
    ]
    frames = dict(measured.frames)
    for run in (run.run for run in runs if run.system == "retro_corpus"):
        for name, factor in WORSE.items():
            frames[run, name] = measured.frames[run, "own"].with_columns(pl.col("loss") * factor)
    return replace(measured, runs=runs, frames=frames)


WORSE = {"none": 1.2, "by_chance": 1.1}


def test_a_system_that_reads_a_corpus_has_rows_for_its_controls(ten, evaluations_sample):
    """Its model without passages and with passages by chance; random retrieval of it is that of the same
    database.
    """
    found = corpus_comparison(reading_corpus(measured_of(ten, evaluations_sample)), 20)
    loss = math.log(row_of(found, "retro_corpus").perplexity)
    for name, factor in WORSE.items():
        assert math.log(row_of(found, "retro_corpus", name).perplexity) == pytest.approx(
            factor * loss, rel=1e-4
        )
    assert not [row for row in found.rows if row.setting in WORSE and row.system != "retro_corpus"]
    random = math.log(row_of(found, "retro_corpus_random").perplexity)
    assert row_of(found, "retro_corpus").retrieval_gain.value == pytest.approx(random - loss, abs=1e-4)
    assert row_of(found, "retro_corpus_random").retrieval_gain is None
    text = markdown(Comparison("it", [found]))
    assert "RETRO, whole corpus, no passages" in text
    assert "RETRO, whole corpus, passages by chance" in text
    assert text.count("| RETRO, whole corpus  ") == 1
