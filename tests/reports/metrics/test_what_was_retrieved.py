"""Figures 4, 6 and 7: overlap, what gold is worth and examples, on chunks made by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from reports.metrics.gain_examples import gain_examples
from reports.metrics.perplexity import resampled
from reports.metrics.retrieval import gold_of
from reports.metrics.subgroup_gain import gold_retrieved, subgroup_figures, subgroup_sums
from reports.metrics.token_overlap import overlap_figures, overlap_sums


def test_overlap_is_of_distinct_tokens_with_the_first_neighbour(evaluations_sample):
    made_up = evaluations_sample.made_up(3, 30, ("transformer_xl", "rpt_sem"))
    evaluations = made_up.aligned()
    sums = resampled(
        evaluations,
        overlap_sums(evaluations, made_up.chunks.select("doc_id", "chunk", "token_ids"), 8),
        30,
        0,
    )
    (row,) = overlap_figures(evaluations, sums)
    ids = {
        (doc, chunk): set(tokens)
        for doc, chunk, tokens in made_up.chunks.select("doc_id", "chunk", "token_ids").iter_rows()
    }
    found = {"query": [], "target": [], "target_with_continuation": []}
    own = evaluations.frames["demo-rpt_sem", "own"]
    for doc, chunk, tokens, retrieved in own.select("doc_id", "chunk", "tokens", "retrieved").iter_rows():
        if retrieved and tokens == 8:
            first = ids[doc, retrieved[0]]
            found["query"].append(len(first & ids[doc, chunk]))
            found["target"].append(len(first & ids[doc, chunk + 1]))
            found["target_with_continuation"].append(
                len((first | ids[doc, retrieved[0] + 1]) & ids[doc, chunk + 1])
            )
    assert row.chunks == len(found["query"])
    for side, values in found.items():
        mean = getattr(row, side)
        assert mean.value == pytest.approx(np.mean(values), abs=1e-6)
        assert mean.low <= mean.value <= mean.high


def scored(evaluations, run: str, hits: int) -> pl.DataFrame:
    """Labels that make the second neighbour of the first `hits` chunks gold, and the first neighbour of ten
    more chunks not.
    """
    own = evaluations.frames[run, "own"].filter(pl.col("retrieved").list.len() == 2)
    rows = [
        (doc, chunk, retrieved[1] if place < hits else retrieved[0], 5.0 if place < hits else -5.0)
        for place, (doc, chunk, retrieved) in enumerate(
            own.select("doc_id", "chunk", "retrieved").head(hits + 10).iter_rows()
        )
    ]
    return pl.DataFrame(
        rows, schema=["doc_id", "query_chunk", "candidate_chunk", "target_score"], orient="row"
    )


def test_chunks_are_grouped_by_whether_gold_was_among_their_neighbours(evaluations_sample):
    made_up = evaluations_sample.made_up(3, 30, ("transformer_xl", "retro", "rpt_sem"))
    evaluations = made_up.aligned()
    gold = gold_of(scored(evaluations, "demo-rpt_sem", 4), 8, 2)
    known, hit = gold_retrieved(evaluations, "demo-rpt_sem", gold)
    assert (known.sum(), hit.sum(), (known & hit).sum()) == (14, 4, 4)
    figures = {
        (row.run, row.group): row
        for row in subgroup_figures(
            evaluations, resampled(evaluations, subgroup_sums(evaluations, gold), 30, 0), gold, "labels"
        )
    }
    assert [figures["demo-rpt_sem", group].chunks for group in ("with_gold", "without_gold", "all")] == [
        4,
        10,
        14,
    ]
    for group in ("with_gold", "without_gold", "all"):  # every chunk with a neighbour gains the same
        assert figures["demo-rpt_sem", group].improvement.value == pytest.approx(
            100 * (1 - np.exp(-0.3)), abs=1e-3
        )
        assert figures["demo-rpt_sem", group].improvement.low == pytest.approx(
            figures["demo-rpt_sem", group].improvement.high, abs=1e-3
        )
    assert ("demo-transformer_xl", "all") not in figures


def test_a_group_without_a_chunk_has_no_figure(evaluations_sample):
    made_up = evaluations_sample.made_up(3, 30, ("transformer_xl", "rpt_sem"))
    evaluations = made_up.aligned()
    gold = gold_of(scored(evaluations, "demo-rpt_sem", 0), 8, 2)
    rows = subgroup_figures(
        evaluations, resampled(evaluations, subgroup_sums(evaluations, gold), 30, 0), gold, "labels"
    )
    assert [(row.chunks, row.improvement.value is None) for row in rows] == [
        (0, True),
        (10, False),
        (10, False),
    ]


def test_examples_are_the_extremes_one_a_document(evaluations_sample):
    made_up = evaluations_sample.made_up(3, 30, ("transformer_xl", "rpt_sem"))
    table = made_up.evaluations["demo-rpt_sem"]
    loss = table.column("loss").to_numpy().copy()
    own = [row for row in range(len(loss)) if table["setting"][row].as_py() == "own"]
    place = {(table["doc_id"][row].as_py(), table["chunk"][row].as_py()): row for row in own}
    documents = sorted({doc for doc, _ in place})
    for doc, chunk, change in (
        (documents[0], 20, -4.0),
        (documents[0], 21, -3.0),
        (documents[1], 22, -2.0),
        (documents[2], 23, 6.0),
    ):
        loss[place[doc, chunk]] += change
    index = table.schema.get_field_index("loss")
    made_up.evaluations["demo-rpt_sem"] = table.set_column(index, table.schema.field("loss"), [loss])
    rows = gain_examples(
        made_up.aligned(), made_up.labels, made_up.chunks.select("doc_id", "chunk", "text"), 8
    )
    assert [(row.kind, row.doc_id, row.query_chunk) for row in rows] == [
        ("gain", documents[0], 20),
        ("gain", documents[1], 22),
        ("loss", documents[2], 23),
    ]
    assert rows[0].gain == pytest.approx(0.3 + 4 / 8, abs=1e-4)
    assert rows[0].target == f"text {documents[0]}/21 "
    first = rows[0].neighbours[0]
    assert first.text == f"text {documents[0]}/{first.chunk} text {documents[0]}/{first.chunk + 1} "
    labels = made_up.labels.filter((pl.col("doc_id") == documents[0]) & (pl.col("query_chunk") == 20))
    known = dict(labels.select("candidate_chunk", "target_score").iter_rows())
    for neighbour in rows[0].neighbours:
        score = known.get(neighbour.chunk)
        assert neighbour.score == (None if score is None else pytest.approx(score / 8))
