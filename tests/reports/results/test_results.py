"""Figures over seeds and their page: paired seed by seed, of the tokens they name, and nothing claimed that
the seeds do not carry.
"""

import copy
import json
import math
import statistics
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from reports.html.formats import number
from reports.metrics.evaluation_rows import aligned, frames_of
from reports.results.figures import PLACES, result_figures
from reports.results.page import GAINS, markdown, not_ordered, shown
from reports.results.result import Result
from tests.reports.built import built
from tests.reports.evaluations_sample import GAINS as MADE
from tests.reports.evaluations_sample import evaluation, made_up_chunks

ROOT = Path(__file__).resolve().parents[3]
KEPT = sorted((ROOT / "metrics" / "results").glob("*.json"))
SHIFTS = {
    "transformer_xl": (0.00, 0.02, 0.01),
    "random": (0.00, 0.03, 0.01),
    "retro": (0.01, 0.00, 0.02),
    "rpt_sem": (0.0, 0.01, 0.02),
}
"""Nats a token that each seed of a system is worse by."""


def made_up(seeds=3):
    """(run -> its rows, the runs side by side) of four systems."""
    chunks = made_up_chunks(9, 70, 4)
    tables = {}
    for system, shifts in SHIFTS.items():
        for seed in range(seeds):
            rows = pl.DataFrame(
                pl.from_arrow(
                    evaluation(
                        chunks, system, ["own"] if system == "transformer_xl" else ["own", "none"], seed
                    )
                )
            )
            worse = pl.col("loss") + shifts[seed] * pl.col("tokens")
            tables[f"{system}-{seed}"] = rows.with_columns(
                pl.when(pl.col("setting") == "own").then(worse).otherwise("loss").alias("loss")
            )
    frames = frames_of((run, rows.to_arrow()) for run, rows in tables.items())
    return tables, aligned(frames, {run: run[:-2] for run in tables}, {run: int(run[-1]) for run in tables})


@pytest.fixture(scope="module")
def found():
    tables, evaluations = made_up()
    figures = asdict(result_figures(evaluations, 100))
    for row in figures["rows"]:
        row["parameters"] = 1_000_000
    return tables, figures


def as_result(figures, corpus="code"):
    training = {"layers": 4, "width": 128, "heads": 2, "copying": True, "lexical_start": True, "steps": 240}
    training |= {"tokens": 491_520, "sequence_tokens": 2048, "vocabulary": 1024}
    gates = [{"name": "copy", "passed": True}, {"name": "halves", "passed": False}]
    return {
        "corpus": corpus,
        "profile": "small-code",
        "source": "python-stdlib",
        "training": training,
        "gates": gates,
        **figures,
    }


def loss(rows, place, setting="own"):
    kept = rows.filter(
        (pl.col("setting") == setting) & ((pl.col("eligible") > 0) if place == "with_neighbours" else True)
    )
    return kept["loss"].sum() / kept["tokens"].sum()


@pytest.mark.parametrize("place", PLACES)
def test_perplexity_is_that_of_each_seed_and_their_mean(found, place):
    tables, figures = found
    for row in figures["rows"]:
        by_seed = [math.exp(loss(tables[f"{row['system']}-{seed}"], place)) for seed in row["seeds"]]
        perplexity = row[place]["perplexity"]
        assert perplexity["by_seed"] == pytest.approx(by_seed, abs=1e-5)
        assert perplexity["value"] == pytest.approx(statistics.fmean(by_seed), abs=1e-5)
        assert perplexity["deviation"] == pytest.approx(statistics.stdev(by_seed), abs=1e-5)
        assert perplexity["low"] < perplexity["value"] < perplexity["high"]


@pytest.mark.parametrize("place", PLACES)
def test_gains_are_paired_with_the_same_seed(found, place):
    tables, figures = found
    rows = {row["system"]: row for row in figures["rows"]}
    for system, others in (("rpt_sem", ("transformer_xl", "random")), ("random", ("transformer_xl",))):
        for other in others:
            gain = rows[system][place][f"over_{other}"]
            paired = [
                loss(tables[f"{other}-{seed}"], place) - loss(tables[f"{system}-{seed}"], place)
                for seed in range(3)
            ]
            assert gain["by_seed"] == pytest.approx(paired, abs=1e-5)
            assert gain["deviation"] == pytest.approx(statistics.stdev(paired), abs=1e-5)
    assert rows["rpt_sem"]["with_neighbours"]["over_random"]["value"] == pytest.approx(
        MADE["rpt_sem"] + 1 / 300, abs=1e-4
    )
    assert rows["transformer_xl"][place]["over_transformer_xl"] is None


def test_what_reading_brings_a_model_is_against_none(found):
    tables, figures = found
    rows = {row["system"]: row["all"]["without_neighbours"] for row in figures["rows"]}
    expected = [
        loss(tables[f"retro-{seed}"], "all", "none") - loss(tables[f"retro-{seed}"], "all")
        for seed in range(3)
    ]
    assert rows["retro"]["by_seed"] == pytest.approx(expected, abs=1e-5)
    assert rows["transformer_xl"] is None


def test_an_order_takes_three_seeds_and_a_gap(found):
    _, figures = found
    claims = {(pair["better"], pair["worse"]): pair["claimed"] for pair in figures["orders"]["all"]}
    assert claims["rpt_sem", "retro"]
    assert not claims["transformer_xl", "random"]
    assert not any(pair.claimed for pair in result_figures(made_up(seeds=2)[1], 20).orders["all"])


def test_the_page_claims_what_is_claimed_and_says_what_is_open(found):
    result = as_result(found[1])
    said, left = " ".join(shown(built(Result, result))), " ".join(not_ordered(built(Result, result)))
    assert "RPT-Sem is below RETRO" in said
    assert "Transformer-XL or the random control" in left
    assert "Transformer-XL is below" not in said
    worse = copy.deepcopy(result)
    for pair in worse["orders"]["all"]:
        pair["claimed"] = False
    for row in worse["rows"]:
        for name in GAINS:
            if row["all"][name]:
                row["all"][name] |= {"low": -1.0}
    assert shown(built(Result, worse)) == []
    assert "RPT-Sem or RETRO" in " ".join(not_ordered(built(Result, worse)))


def test_a_learned_retriever_behind_bm25_is_said(found):
    result = as_result(found[1])
    assert "the paper's order" not in " ".join(not_ordered(built(Result, result)))
    order = {"better": "retro", "worse": "rpt_sem", "gap": 0.1, "deviations": 3.0, "claimed": True}
    behind = built(Result, result | {"orders": {"all": [order]}})
    assert "the paper's order of RPT-Sem and RETRO" in " ".join(not_ordered(behind))


def test_every_corpus_has_its_tables_and_commands(found):
    code, maths = (
        as_result(found[1]),
        as_result(found[1], "math")
        | {
            "source": "corpora/math.parquet",
            "profile": "small-math",
        },
    )
    page = markdown([built(Result, code), built(Result, maths)])
    assert page.count("*Needs:") == 1
    for result in (code, maths):
        assert f"./rpt run evaluation --profile {result['profile']}" in page
        for row in result["rows"]:
            for place in PLACES:
                assert (
                    page.count(", ".join(number(value) for value in row[place]["perplexity"]["by_seed"])) >= 2
                )
    assert (
        page.index("## What is shown")
        < page.index("## What is not shown")
        < page.index("## code")
        < page.index("## math")
    )
    assert "1 of 2 pass" in page


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_kept_figures_agree_with_themselves(path):
    """What a hand could have changed in one place: means, deviations and claims follow from the seeds' own
    figures.
    """
    result = json.loads(path.read_text())
    assert path.name == f"{result['profile']}.{result['corpus']}.json"
    for row in result["rows"]:
        assert len(row["seeds"]) >= 3
        for place in PLACES:
            for figure in filter(None, row[place].values()):
                assert figure["value"] == pytest.approx(np.mean(figure["by_seed"]), abs=2e-6)
                assert figure["deviation"] == pytest.approx(np.std(figure["by_seed"], ddof=1), abs=2e-6)
                assert figure["low"] <= figure["value"] <= figure["high"]
