"""All figures of a made-up corpus whose gains are known."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from data_contracts.failure import Exit, Failure
from reports.metrics.figures_file import as_json
from reports.metrics.neighbours_at_test import GapClosed
from reports.metrics.resampling import Estimate
from reports.metrics.retrieval import gold_of, means, query_figures
from reports.metrics.run_figures import RunFigures, run_figures
from reports.metrics.seeds import SeedFigures
from reports.run.csv_tables import csv_tables
from reports.run.headline import headline, metrics
from reports.run.report import RunReport, System
from tests.reports.sample import report_of, sample_report


@pytest.fixture(scope="module")
def figures(made_up):
    return run_figures(made_up.evidence(), 100)


def finished(figures: RunFigures) -> RunReport:
    """The made-up report with these figures in it."""
    systems = [
        System(**vars(row), parameters=1, copying=False, lexical_start=False, curve=[])
        for row in figures.systems
    ]
    return replace(report_of(sample_report()), **{**vars(figures), "systems": systems})


def by(rows, *keys):
    return {
        tuple(getattr(row, key) for key in keys) if len(keys) > 1 else getattr(row, keys[0]): row
        for row in rows
    }


def test_the_same_evidence_gives_the_same_bytes(made_up, figures):
    assert as_json(run_figures(made_up.evidence(), 100)) == as_json(figures)


def test_gains_are_over_transformer_xl_and_over_random_retrieval(figures):
    systems = by(figures.systems, "system")
    assert systems["transformer_xl"].difference is None
    assert systems["random"].over_random is None
    assert systems["random"].difference.value == 0.0
    # tokens of a document of 70 chunks, the last one of half length, that have a neighbour
    eligible = 64 * 8 + 4
    share = eligible / (70 * 8 - 4 - 1)
    assert systems["rpt_sem"].difference.against == "demo-transformer_xl"
    for against in ("difference", "over_random"):
        assert getattr(systems["rpt_sem"], against).value == pytest.approx(0.3 * share, abs=1e-4)
        assert getattr(systems["retro"], against).value == pytest.approx(0.1 * share, abs=1e-4)
    with_neighbours = {name: math.log(row.perplexity_with_neighbours) for name, row in systems.items()}
    assert with_neighbours["transformer_xl"] - with_neighbours["rpt_sem"] == pytest.approx(0.3, abs=1e-4)
    assert {row.documents for row in systems.values()} == {4}
    assert figures.seeds == []


def test_other_settings_are_beside_the_own_one(figures):
    rows = by(figures.settings, "run", "setting")
    assert {run for run, _ in rows} == {"demo-retro", "demo-random", "demo-rpt_lex", "demo-rpt_sem"}
    systems = by(figures.systems, "run")
    assert rows["demo-rpt_sem", "own"].perplexity == systems["demo-rpt_sem"].perplexity
    assert rows["demo-rpt_sem", "own"].gain is None
    assert rows["demo-rpt_sem", "none"].perplexity == systems["demo-transformer_xl"].perplexity
    assert rows["demo-rpt_sem", "none"].gain.value == pytest.approx(-systems["demo-rpt_sem"].difference.value)
    settings = [setting for run, setting in rows if run == "demo-retro"]
    assert settings == ["own", "none", "training_length", "first_1", "first_2", "first_3", "first_4"]


def test_the_oracle_is_apart_and_its_gap_is_in_nats(figures):
    (row,) = figures.oracles
    assert row.run == "demo-rpt_sem"
    assert "oracle_all" not in {setting.setting for setting in figures.settings}
    assert row.gap_closed == GapClosed(*[pytest.approx(0.6, abs=1e-4)] * 3, 0.0)
    assert row.gap_closed_scored.value == pytest.approx(0.6, abs=1e-4)
    assert "oracle" not in {setting.setting for setting in figures.settings}
    assert min(system.perplexity for system in figures.systems) > row.perplexity


def test_the_oracle_of_all_chunks_is_measured_on_the_sample_alone(made_up, figures):
    (row,) = figures.oracles_all
    sampled = made_up.exhaustive.select("doc_id", "query_chunk").unique()
    assert (row.run, row.tokens) == ("demo-rpt_sem", 8 * len(sampled))
    assert 0 < len(sampled) < 40
    nats = {name: math.log(getattr(row, name).value) for name in ("own", "oracle", "oracle_all")}
    assert nats["own"] - nats["oracle"] == pytest.approx(0.2, abs=1e-4)
    assert nats["oracle"] - nats["oracle_all"] == pytest.approx(0.3, abs=1e-4)
    assert row.gain.value == pytest.approx(0.3, abs=1e-4)
    assert row.gain.low <= row.gain.value <= row.gain.high


def test_gold_over_all_chunks_is_of_the_sample_and_its_chance_is_the_share_of_positives(made_up, figures):
    rows = by(figures.exhaustive, "retriever")
    assert list(rows) == [row.retriever for row in figures.retrieval]
    share = made_up.exhaustive.group_by("doc_id", "query_chunk").agg((pl.col("target_score") > 0).mean())[
        "target_score"
    ]
    assert rows["random"].queries == len(share)
    assert rows["random"].figures["precision_at_2"].value == pytest.approx(share.mean())
    assert max(abs(row.figures["precision_at_2"].value - share.mean()) for row in rows.values()) > 0.01


def test_perfect_rankings_are_perfect_where_everything_was_scored(made_up):
    best = (
        made_up.exhaustive.sort("doc_id", "query_chunk", "target_score", descending=[False, False, True])
        .group_by("doc_id", "query_chunk", maintain_order=True)
        .agg(pl.col("candidate_chunk").head(20))
    )
    gold = gold_of(made_up.exhaustive, 8, 2)
    found = means(
        gold, query_figures(gold, best.select("doc_id", chunk="query_chunk", ranking="candidate_chunk"))
    )
    assert found.figures["ndcg_at_20"] == pytest.approx(1.0)
    assert found.figures["precision_at_2"] == pytest.approx(
        (gold.queries["positives"].clip(upper_bound=2) / 2).mean()
    )


def test_without_a_sample_nothing_is_said_of_it(made_up):
    found = run_figures(replace(made_up.evidence(), exhaustive=made_up.exhaustive.clear()), 20)
    assert found.exhaustive == []
    assert found.oracles_all[0].own == Estimate(None, None, None)


def test_an_oracle_worse_than_transformer_xl_closes_no_gap(evaluations_sample):
    made_up = evaluations_sample.made_up(3, 20, ("transformer_xl", "rpt_sem"))
    table = made_up.oracles["demo-rpt_sem"]
    worse = pc.multiply(table.column("loss"), pa.scalar(2.0, pa.float32()))
    made_up.oracles["demo-rpt_sem"] = table.set_column(
        table.schema.get_field_index("loss"), table.schema.field("loss"), worse
    )
    (row,) = run_figures(made_up.evidence(), 20).oracles
    assert row.gap_closed == row.gap_closed_scored == GapClosed(None, None, None, 1.0)


def test_a_gap_that_some_resamples_do_not_have_has_no_interval(evaluations_sample):
    """This oracle is better than Transformer-XL by what it gains in one document, and worse in the
    other two.
    """
    made_up = evaluations_sample.made_up(3, 20, ("transformer_xl", "rpt_sem"))
    table, own = made_up.oracles["demo-rpt_sem"], made_up.evaluations["demo-transformer_xl"]
    table = table.filter(pc.equal(table["setting"], "oracle"))
    change = pc.if_else(
        pc.equal(table["doc_id"], "0" * 16), pa.scalar(0.5, pa.float32()), pa.scalar(1.1, pa.float32())
    )
    loss = pc.multiply(own["loss"], change)
    made_up.oracles["demo-rpt_sem"] = table.set_column(
        table.schema.get_field_index("loss"), table.schema.field("loss"), loss
    )
    (row,) = run_figures(made_up.evidence(), 200).oracles
    assert row.gap_closed.value > 0
    assert row.gap_closed.left_out == pytest.approx((2 / 3) ** 3, abs=0.1)
    assert (row.gap_closed.low, row.gap_closed.high) == (None, None)


def test_a_diverged_model_has_no_perplexity_and_the_others_have_theirs(evaluations_sample):
    made_up = evaluations_sample.made_up(3, 20, ("transformer_xl", "rpt_sem"))
    table = made_up.evaluations["demo-rpt_sem"]
    made_up.evaluations["again"] = table
    for name in ("loss", "token_losses"):
        values = table.column(name).combine_chunks()
        if name == "loss":
            values = pc.multiply(values, pa.scalar(1000.0, pa.float32()))
        else:
            values = pa.ListArray.from_arrays(
                values.offsets, pc.multiply(values.values, pa.scalar(1000.0, pa.float32()))
            )
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)
    made_up.evaluations["demo-rpt_sem"] = table
    evidence = made_up.evidence()
    evidence.evaluations.systems["again"] = "rpt_sem"
    found = run_figures(evidence, 20)
    diverged = by(found.systems, "run")["demo-rpt_sem"]
    assert diverged.perplexity is diverged.macro_perplexity is None
    assert found.seeds == []
    report = finished(found)
    assert set(metrics(report)["perplexity"]) == {"demo-transformer_xl", "again"}
    assert "demo-rpt_sem n/a" in headline(report.systems, report.labels, [], [], True, "test")[0]


def test_a_query_that_was_not_evaluated_is_not_measured(made_up, figures):
    unseen = made_up.labels.head(3).with_columns(
        query_chunk=pl.lit(500, pl.Int32), target_score=pl.lit(9.0, pl.Float32)
    )
    found = run_figures(replace(made_up.evidence(), labels=pl.concat([made_up.labels, unseen])), 100)
    assert found.retrieval == figures.retrieval


def test_every_retriever_is_measured_against_the_same_gold(figures):
    names = ["random", "recency", "BM25", "Random retrieval", "RPT-Lex", "RPT-Sem"]
    for rows in (figures.retrieval, figures.rerank):
        assert [row.retriever for row in rows] == names
        assert len({(row.queries, row.queries_with_positive) for row in rows}) == 1
    rates = by(figures.retrieval, "retriever")
    assert (
        abs(
            rates["Random retrieval"].figures["precision_at_2"].value
            - rates["random"].figures["precision_at_2"].value
        )
        < 0.05
    )
    assert {row.figures["recall_at_10"].value for row in figures.rerank} == {None}


def test_a_second_seed_of_a_system_is_named_by_its_run(evaluations_sample):
    made_up = evaluations_sample.made_up(3, 20, ("transformer_xl", "rpt_sem"))
    made_up.evaluations["again"] = made_up.evaluations["demo-rpt_sem"]
    evidence = made_up.evidence()
    evidence.evaluations.systems["again"] = "rpt_sem"
    found = run_figures(evidence, 20)
    assert [row.retriever for row in found.retrieval][3:] == ["demo-rpt_sem", "again"]
    perplexity = next(row.perplexity for row in found.systems if row.run == "again")
    assert found.seeds == [SeedFigures("rpt_sem", 2, perplexity, 0.0)]


def test_without_transformer_xl_nothing_is_compared_with_it(evaluations_sample):
    found = run_figures(evaluations_sample.made_up(3, 20, ("retro", "rpt_sem")).evidence(), 20)
    assert [row.difference for row in found.systems] == [None, None]
    assert found.subgroups == found.gain_examples == []
    assert [run.gain for run in found.positions.runs] == [None, None]
    assert found.oracles[0].gap_closed is None
    assert len(found.overlap) == 2


def test_a_corpus_with_transformer_xl_alone_has_every_section(evaluations_sample):
    found = run_figures(evaluations_sample.made_up(3, 20, ("transformer_xl",)).evidence(), 20)
    assert found.settings == found.oracles == found.overlap == found.subgroups == found.gain_examples == []
    assert [row.retriever for row in found.retrieval] == ["random", "recency", "BM25"]


def test_every_figure_is_a_csv_file_without_any_text(figures):
    tables = csv_tables(finished(figures))
    assert set(tables) == {
        "table_2_perplexity",
        "table_3_retrieval",
        "frozen_reader",
        "table_3_retrieved_scored",
        "figure_3_lengths",
        "figure_4_overlap",
        "figure_6_gold",
        "figure_7_examples",
        "neighbours_at_test",
        "oracle",
        "oracle_all",
        "ceilings",
        "positions",
    }
    assert "text 0" not in "".join(tables.values())
    read = {name: list(csv.DictReader(io.StringIO(table))) for name, table in tables.items()}
    assert [row["perplexity"] for row in read["table_2_perplexity"]] == [
        str(row.perplexity) for row in figures.systems
    ]
    assert read["table_2_perplexity"][0]["gain_over_transformer_xl_nats"] == ""
    assert len(read["positions"]) == len(figures.systems) * len(figures.positions.bins)
    assert len(read["figure_7_examples"]) == sum(len(row.neighbours) for row in figures.gain_examples)
    assert {row["list"] for row in read["table_3_retrieval"]} == {"retrieval", "rerank", "exhaustive"}


def test_a_figure_without_rows_has_no_file(sample):
    sample["oracles"] = []
    assert "oracle" not in csv_tables(report_of(sample))


def test_the_gap_among_scored_chunks_is_of_those_alone(evaluations_sample):
    """Where nothing was scored, this oracle reads the system's own neighbours."""
    made_up = evaluations_sample.made_up(3, 20, ("transformer_xl", "rpt_sem"))
    scored = made_up.labels.filter(pl.col("query_chunk") % 2 == 0)
    table, own = made_up.oracles["demo-rpt_sem"], made_up.evaluations["demo-rpt_sem"]
    table = table.filter(pc.equal(table["setting"], "oracle"))
    own = own.filter(pc.equal(own["setting"], "own"))
    even = pc.equal(pc.bit_wise_and(table["chunk"], pa.scalar(1, pa.int32())), 0)
    loss = pc.if_else(even, table["loss"], own["loss"])
    made_up.oracles["demo-rpt_sem"] = table.set_column(
        table.schema.get_field_index("loss"), table.schema.field("loss"), loss
    )
    (row,) = run_figures(replace(made_up.evidence(), labels=scored), 20).oracles
    assert row.gap_closed_scored.value == pytest.approx(0.6, abs=1e-4)
    assert row.gap_closed.value > 0.65


@pytest.mark.parametrize("gold", ["retrieval", "exhaustive", "rerank"])
def test_every_retrieval_figure_stands_within_its_interval(figures, gold):
    for row in getattr(figures, gold):
        assert row.documents == 4
        for found in row.figures.values():
            if found.value is None:
                assert (found.low, found.high) == (None, None)
            else:
                assert found.low <= found.value <= found.high
                assert found.high - found.low > 0.001


def test_an_interval_of_precision_is_that_of_resampled_documents(evaluations_sample):
    """In one of two documents all that is retrieved helps, in the other nothing; a resample has one of both,
    or one of them twice.
    """
    made_up = evaluations_sample.made_up(2, 40, ("transformer_xl", "rpt_sem"))
    first = pl.col("doc_id") == "0" * 16
    labels = made_up.retrieved.with_columns(
        rank=pl.lit(0), target_score=pl.when(first).then(9.0).otherwise(-9.0).cast(pl.Float32)
    )
    found = run_figures(replace(made_up.evidence(), retrieved=labels), 400)
    (row,) = found.retrieved[1:]
    assert row.retriever == "RPT-Sem"
    assert row.precision_at_2 == Estimate(pytest.approx(0.5, abs=0.05), 0.0, pytest.approx(1.0, abs=0.1))


def test_precision_is_exact_where_what_was_retrieved_is_scored(made_up, figures):
    rows = by(figures.retrieved, "retriever")
    assert list(rows) == ["random", "BM25", "Random retrieval", "RPT-Lex", "RPT-Sem"]
    score = {
        tuple(key): value
        for *key, value in made_up.retrieved.select(
            "doc_id", "query_chunk", "candidate_chunk", "target_score"
        ).iter_rows()
    }
    queries = {key[:2] for key in score}
    own = pl.DataFrame(pl.from_arrow(made_up.evaluations["demo-rpt_sem"])).filter(pl.col("setting") == "own")
    hits = [
        sum(score[doc, chunk, neighbour] > 0 for neighbour in read[:2]) / 2
        for doc, chunk, read in own.select("doc_id", "chunk", "retrieved").iter_rows()
        if (doc, chunk) in queries
    ]
    assert rows["RPT-Sem"].queries == len(hits) == len(queries)
    assert rows["RPT-Sem"].precision_at_2.value == pytest.approx(sum(hits) / len(hits))
    assert (of := rows["RPT-Sem"].precision_at_2).low < of.value < of.high
    assert rows["RPT-Sem"].documents == 4


def test_chance_of_the_sample_is_over_the_queries_of_which_everything_was_scored(made_up, figures):
    both = made_up.exhaustive.join(
        made_up.retrieved.select("doc_id", "query_chunk").unique(), on=["doc_id", "query_chunk"], how="semi"
    )
    shares = both.group_by("doc_id", "query_chunk").agg(
        (pl.col("target_score") > 0).mean(), eligible=pl.len()
    )
    expected = (shares["target_score"] * shares["eligible"].clip(upper_bound=2) / 2).mean()
    chance = by(figures.retrieved, "retriever")["random"]
    assert chance.queries == len(shares) > 4
    assert chance.precision_at_2.value == pytest.approx(expected)
    without = run_figures(replace(made_up.evidence(), exhaustive=made_up.exhaustive.clear()), 20)
    assert "random" not in by(without.retrieved, "retriever")


def test_what_gold_is_worth_goes_by_the_sample_if_there_is_one_and_by_labels_if_not(made_up, figures):
    assert {row.scored for row in figures.subgroups} == {"retrieved"}
    sampled = made_up.retrieved.select("doc_id", "query_chunk").n_unique()
    assert {row.chunks for row in figures.subgroups if row.group == "all"} == {sampled}
    found = run_figures(replace(made_up.evidence(), retrieved=made_up.retrieved.clear()), 20)
    assert found.retrieved == []
    assert {row.scored for row in found.subgroups} == {"labels"}
    labelled = made_up.labels.select("doc_id", "query_chunk").n_unique()
    assert {row.chunks for row in found.subgroups if row.group == "all"} == {labelled}


def test_a_sample_that_lacks_a_neighbour_is_refused(made_up):
    with pytest.raises(Failure, match="the retrieved sample is not of these evaluations") as failure:
        run_figures(replace(made_up.evidence(), retrieved=made_up.retrieved[1:]), 20)
    assert failure.value.code is Exit.CONTRACT


def test_runs_are_compared_with_transformer_xl_of_their_own_seed(evaluations_sample):
    made_up = evaluations_sample.made_up(3, 20, ("transformer_xl", "rpt_sem"))
    for run in ("demo-transformer_xl", "demo-rpt_sem"):
        table = made_up.evaluations[run]
        for name in ("loss", "token_losses"):
            values = table.column(name).combine_chunks()
            scaled = pc.multiply(values if name == "loss" else values.values, pa.scalar(1.5, pa.float32()))
            values = scaled if name == "loss" else pa.ListArray.from_arrays(values.offsets, scaled)
            table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), values)
        made_up.evaluations[f"{run}-1"] = table
    made_up.evaluations["demo-rpt_sem-2"] = made_up.evaluations["demo-rpt_sem"]
    evidence = made_up.evidence()
    for run in made_up.evaluations:
        evidence.evaluations.systems[run] = "rpt_sem" if "rpt_sem" in run else "transformer_xl"
        evidence.evaluations.seeds[run] = int(run[-1]) if run[-1].isdigit() else 0
    found = run_figures(evidence, 20)
    systems = by(found.systems, "run")
    assert {row.seed for row in systems.values()} == {0, 1, 2}
    against = {run: row.difference and row.difference.against for run, row in systems.items()}
    assert against == {
        "demo-transformer_xl": None,
        "demo-transformer_xl-1": None,
        "demo-rpt_sem": "demo-transformer_xl",
        "demo-rpt_sem-1": "demo-transformer_xl-1",
        "demo-rpt_sem-2": "demo-transformer_xl",
    }
    nats = {run: row.difference.value for run, row in systems.items() if row.difference}
    assert nats["demo-rpt_sem-1"] == pytest.approx(1.5 * nats["demo-rpt_sem"], abs=1e-5)
    gains = by(found.positions.runs, "run")
    last = {run: row.gain[-1].value for run, row in gains.items() if row.gain}
    assert last["demo-rpt_sem-1"] == pytest.approx(1.5 * last["demo-rpt_sem"], abs=1e-5)
    assert [(row.system, row.runs) for row in found.seeds] == [("transformer_xl", 2), ("rpt_sem", 3)]
    assert found.orders == []
