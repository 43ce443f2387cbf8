"""The figures of the report against numbers worked out by hand."""

import numpy as np
import polars as pl
import pytest

from data_contracts.evaluations import EVALUATIONS
from data_contracts.failure import Failure
from reports import labels, perplexity, retrieval


def evaluation(losses: dict[str, list[float]], tokens: int = 10):
    rows = [(doc_id, chunk - 1, loss) for doc_id, values in losses.items() for chunk, loss in enumerate(values)]
    count = len(rows)
    return EVALUATIONS.table(
        {
            "system": ["s"] * count,
            "setting": ["own"] * count,
            "doc_id": [row[0] for row in rows],
            "split": ["test"] * count,
            "chunk": [row[1] for row in rows],
            "loss": [row[2] for row in rows],
            "tokens": [tokens] * count,
            "bytes": [4 * tokens] * count,
            "token_losses": [[row[2] / tokens] * tokens for row in rows],
            "eligible": [max(0, row[1] - 3) for row in rows],
            "retrieved": [[]] * count,
            "ranking": [[]] * count,
            "scores": [[]] * count,
            "gates": [[]] * count,
        },
        stride_chunks=2,
    )


def test_perplexity_is_exp_of_all_nats_over_all_tokens():
    table = evaluation({"a": [10.0, 20.0], "b": [30.0, 30.0, 30.0, 30.0, 30.0, 60.0]})
    result = perplexity.summarise(table, 200)
    assert result["perplexity"] == pytest.approx(np.exp(240 / 80))
    assert result["macro_perplexity"] == pytest.approx((np.exp(1.5) + np.exp(3.5)) / 2)
    assert result["perplexity_with_neighbours"] == pytest.approx(np.exp(6.0))
    assert result["low"] <= result["perplexity"] <= result["high"]


def test_a_constant_gain_has_an_interval_of_no_width():
    rng = np.random.default_rng(0)
    losses = {name: rng.uniform(10, 50, 200).tolist() for name in "abcdefgh"}
    better = {name: [value - 5.0 for value in values] for name, values in losses.items()}
    result = perplexity.paired_difference(evaluation(better), evaluation(losses), 100)
    assert [result[key] for key in ("nats", "low", "high")] == pytest.approx([0.5] * 3, abs=1e-5)


def test_systems_on_other_tokens_are_not_compared():
    tables = {"a": evaluation({"d": [1.0]}), "b": evaluation({"d": [1.0]}, tokens=9)}
    with pytest.raises(Failure, match="same tokens"):
        perplexity.same_tokens(tables)


def test_retrieval_figures_by_hand():
    gold = {("d", 9): retrieval.Gold({3: 1.0, 5: 3.0}), ("d", 10): retrieval.Gold({})}
    rankings = {("d", 9): np.array([3, 1, 5, 2]), ("d", 10): np.array([1, 2])}
    result = retrieval.measure(rankings, gold)
    assert result["precision_at_2"] == pytest.approx((0.5 + 0.0) / 2)
    assert result["recall_at_10"] == 1.0
    dcg, ideal = 1.0 + 3.0 / np.log2(4), 3.0 + 1.0 / np.log2(3)
    assert result["ndcg_at_20"] == pytest.approx(dcg / ideal)
    assert (result["queries"], result["queries_with_positive"]) == (2, 1)


def test_retrieval_figures_agree_with_rax():
    import rax

    generator = np.random.default_rng(1)
    chunks = 40
    for _ in range(20):
        gains = generator.random(chunks) * (generator.random(chunks) < 0.2)
        gold = {("d", 0): retrieval.Gold({chunk: gain for chunk, gain in enumerate(gains) if gain})}
        scores = generator.random(chunks)
        result = retrieval.measure({("d", 0): np.argsort(-scores)}, gold)
        if not gains.any():
            continue
        relevant = (gains > 0).astype(float)
        assert result["precision_at_2"] == pytest.approx(float(rax.precision_metric(scores, relevant, topn=2)), abs=1e-6)
        assert result["recall_at_10"] == pytest.approx(float(rax.recall_metric(scores, relevant, topn=10)), abs=1e-6)
        ndcg = rax.ndcg_metric(scores, gains, topn=20, gain_fn=lambda gain: gain)
        assert result["ndcg_at_20"] == pytest.approx(float(ndcg), abs=1e-6)


def test_chance_and_recency_rank_only_eligible_chunks():
    queries = [("d", query) for query in range(12)]
    for rankings in (retrieval.random_rankings(queries, 2), retrieval.recency_rankings(queries, 2)):
        assert rankings["d", 3].tolist() == []
        assert sorted(rankings["d", 11]) == list(range(7))
    assert retrieval.recency_rankings(queries, 2)["d", 11].tolist() == [6, 5, 4, 3, 2, 1, 0]


def frame(scores: dict[str, list[float]]) -> pl.DataFrame:
    """Labels of one document a split, four candidates a query."""
    rows = [
        {"doc_id": split, "split": split, "query_chunk": number // 4, "rank": number % 4, "target_score": score}
        for split, values in scores.items()
        for number, score in enumerate(values)
    ]
    return pl.DataFrame(rows)


def test_figure_5_is_the_mean_of_the_best_so_far():
    table = frame({"test": [-64.0, 64.0, 0.0, 128.0, -64.0, -64.0, -64.0, -64.0]})
    assert labels.best_by_k(table, "test", 64, (1, 2, 4, 5)) == {1: -1.0, 2: 0.0, 4: 0.5}
    assert labels.best_by_k(table, "train", 64, (1, 2)) == {}
    assert labels.positive_rates(table) == {"test": 0.25}
