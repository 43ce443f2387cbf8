"""Perplexity and its paired figures against numbers worked out by hand, and Figure 5 while labels
are made.
"""

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from data_contracts.evaluations import EVALUATIONS
from data_contracts.failure import Exit, Failure
from reports.labels import glance as labels
from reports.metrics import perplexity
from reports.metrics.evaluation_rows import aligned, frames_of, with_own

XL, OURS = ("xl", "own"), ("ours", "own")


def evaluation(losses: dict[str, list[float]], tokens: int = 10, setting: str = "own") -> pa.Table:
    rows = [
        (doc_id, chunk - 1, loss) for doc_id, values in losses.items() for chunk, loss in enumerate(values)
    ]
    count = len(rows)
    return EVALUATIONS.table(
        {
            "system": ["s"] * count,
            "setting": [setting] * count,
            "doc_id": [row[0] for row in rows],
            "split": ["test"] * count,
            "chunk": [row[1] for row in rows],
            "loss": [row[2] for row in rows],
            "tokens": [tokens] * count,
            "bytes": [4 * tokens] * count,
            "token_losses": [[row[2] / tokens] * tokens for row in rows],
            "eligible": [max(0, row[1] - 3) for row in rows],
            **{name: [[]] * count for name in ("retrieved", "ranking", "scores", "gates")},
        },
        stride_chunks=2,
    )


def measured(tables: dict[str, pa.Table], samples: int = 200):
    evaluations = aligned(
        frames_of(tables.items()),
        {run: "transformer_xl" if run == "xl" else "rpt_sem" for run in tables},
        dict.fromkeys(tables, 0),
    )
    by_block = perplexity.token_sums(evaluations, evaluations.chunks.clear())
    return evaluations, perplexity.resampled(evaluations, by_block, samples, 0)


def test_perplexity_is_exp_of_all_nats_over_all_tokens():
    table = evaluation({"a": [10.0, 20.0], "b": [30.0, 30.0, 30.0, 30.0, 30.0, 60.0]})
    result = perplexity.summarise(*measured({"ours": table}), OURS)
    assert result.perplexity == pytest.approx(np.exp(240 / 80), abs=1e-6)
    assert result.macro_perplexity == pytest.approx((np.exp(1.5) + np.exp(3.5)) / 2)
    assert result.perplexity_with_neighbours == pytest.approx(np.exp(6.0), abs=1e-5)
    assert result.nats_per_token == 3.0
    assert result.bits_per_token == pytest.approx(3 / np.log(2), abs=1e-6)
    assert result.bits_per_byte.value == pytest.approx(3 / 4 / np.log(2), abs=1e-6)
    assert result.low <= result.perplexity <= result.high
    assert (result.tokens, result.documents) == (80, 2)


def test_without_anything_to_retrieve_that_perplexity_is_missing():
    result = perplexity.summarise(*measured({"ours": evaluation({"a": [10.0, 20.0]})}), OURS)
    assert result.perplexity_with_neighbours is None


def test_a_constant_gain_has_an_interval_of_no_width():
    rng = np.random.default_rng(0)
    losses = {name: rng.uniform(10, 50, 200).tolist() for name in "abcdefgh"}
    better = {name: [value - 5.0 for value in values] for name, values in losses.items()}
    evaluations, sums = measured({"xl": evaluation(losses), "ours": evaluation(better)}, 100)
    result = perplexity.difference(sums, OURS, XL)
    assert [result.value, result.low, result.high] == pytest.approx([0.5] * 3, abs=1e-5)
    alone = perplexity.summarise(evaluations, sums, OURS)
    assert alone.high - alone.low > 0.1


def test_the_bootstrap_has_both_levels():
    """With one document only its blocks vary; with equal documents of unequal blocks both do."""
    rng = np.random.default_rng(0)
    evaluations, sums = measured({"ours": evaluation({"a": rng.uniform(10, 50, 1000).tolist()})}, 400)
    one = perplexity.summarise(evaluations, sums, OURS)
    assert one.low < one.perplexity < one.high
    _, sums = measured({"ours": evaluation({"a": [10.0] * 10, "b": [50.0] * 10})}, 400)
    spread = sums.combined(lambda at: perplexity.nats(at, OURS))
    assert (spread.low, spread.high) == (1.0, 5.0)


@pytest.mark.parametrize("change", ["tokens", "bytes", "chunk", "setting"])
def test_systems_on_other_tokens_are_not_compared(change):
    one, other = (
        evaluation({"d": [1.0, 1.0]}),
        evaluation({"d": [1.0, 1.0]}, tokens=9 if change == "tokens" else 10),
    )
    if change == "bytes":
        other = other.set_column(
            other.schema.get_field_index("bytes"), other.schema.field("bytes"), pa.array([40, 41], pa.int32())
        )
    if change == "chunk":
        other = other.slice(0, 1)
    tables = {"a": one, "b": other}
    if change == "setting":
        tables = {"a": one, "b": pa.concat_tables([one, evaluation({"d": [1.0]}, setting="none")])}
    with pytest.raises(Failure, match="same tokens") as caught:
        aligned(frames_of(tables.items()), dict.fromkeys(tables, "retro"), dict.fromkeys(tables, 0))
    assert caught.value.code is Exit.CONTRACT
    assert "b none: " in str(caught.value) or "b own: " in str(caught.value)


def test_rows_stand_side_by_side_whatever_their_order():
    one = evaluation({"a": [1.0, 2.0], "b": [3.0]})
    other = evaluation({"b": [30.0], "a": [10.0, 20.0]})
    evaluations = aligned(
        frames_of([("x", one), ("y", other)]), {"x": "retro", "y": "retro"}, {"x": 0, "y": 1}
    )
    assert (evaluations.loss(("y", "own")) == 10 * evaluations.loss(("x", "own"))).all()


def test_other_settings_may_be_of_some_documents_and_own_is_of_the_same_ones_then():
    own = evaluation({"a": [10.0, 20.0], "b": [40.0]})
    tables = {"xl": own, "ours": pa.concat_tables([own, evaluation({"b": [50.0]}, setting="none")])}
    found = with_own(
        frames_of(tables.items()), {"xl": "transformer_xl", "ours": "retro"}, {"xl": 0, "ours": 0}, ["none"]
    )
    assert found.chunks["doc_id"].to_list() == ["b"]
    assert {key: found.loss(key).tolist() for key in found.frames} == {
        XL: [40.0],
        OURS: [40.0],
        ("ours", "none"): [50.0],
    }
    assert (
        with_own(
            frames_of(tables.items()),
            {"xl": "transformer_xl", "ours": "retro"},
            {"xl": 0, "ours": 0},
            ["oracle"],
        )
        is None
    )
    tables["third"] = pa.concat_tables([own, evaluation({"a": [1.0, 1.0]}, setting="none")])
    with pytest.raises(Failure, match="same tokens"):
        with_own(
            frames_of(tables.items()), dict.fromkeys(tables, "retro"), dict.fromkeys(tables, 0), ["none"]
        )


def frame(scores: dict[str, list[float]]) -> pl.DataFrame:
    """Labels of one document a split, four candidates a query."""
    rows = [
        {
            "doc_id": split,
            "split": split,
            "query_chunk": number // 4,
            "rank": number % 4,
            "target_score": score,
        }
        for split, values in scores.items()
        for number, score in enumerate(values)
    ]
    return pl.DataFrame(rows)


def test_figure_5_is_the_mean_of_the_best_so_far():
    table = frame({"test": [-64.0, 64.0, 0.0, 128.0, -64.0, -64.0, -64.0, -64.0]})
    assert labels.best_by_k(table, "test", 64, (1, 2, 4, 5)) == {1: -1.0, 2: 0.0, 4: 0.5}
    assert labels.best_by_k(table, "train", 64, (1, 2)) == {}
    assert labels.positive_rates(table) == {"test": 0.25}
