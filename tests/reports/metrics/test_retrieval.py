"""Precision, recall and nDCG by hand, against rax, and their expected values against all orders there are."""

import itertools

import numpy as np
import polars as pl
import pytest

from data_contracts.evaluations import RANKING_LENGTH
from reports.metrics.retrieval import bm25_ranking, gold_of, means, query_figures, recency_ranking

TOKENS = 64
SCHEMA = {
    "doc_id": pl.String,
    "query_chunk": pl.Int32,
    "candidate_chunk": pl.Int32,
    "target_score": pl.Float32,
}
FIGURES = ("precision_at_2", "recall_at_10", "ndcg_at_20")


def score(gain: float) -> float:
    """The s_t in nats whose gain is `gain`."""
    return TOKENS * float(np.log2(1 + gain))


def gold(scores: dict[int, dict[int, float]], stride: int = 2):
    """Gold of one document: candidate -> s_t by query."""
    rows = [
        ("d", query, candidate, value)
        for query, found in scores.items()
        for candidate, value in found.items()
    ]
    return gold_of(pl.DataFrame(rows, schema=SCHEMA, orient="row"), TOKENS, stride)


def ranked(rankings: dict[int, list[int]]) -> pl.DataFrame:
    columns = {"doc_id": ["d"] * len(rankings), "chunk": list(rankings), "ranking": list(rankings.values())}
    return pl.DataFrame(
        columns, schema={"doc_id": pl.String, "chunk": pl.Int32, "ranking": pl.List(pl.Int32)}
    )


def measure(found, ranking, *, rerank=False):
    return means(found, query_figures(found, ranking, rerank=rerank))


def test_by_hand():
    found = gold({9: {3: score(1.0), 4: score(3.0), 0: -5.0}, 10: {1: -2.0}})
    result = measure(found, ranked({9: [3, 1, 4, 2, 0], 10: [1, 2, 0, 3, 4, 5, 6]}))
    assert result.figures["precision_at_2"] == pytest.approx((0.5 + 0.0) / 2)
    assert result.figures["recall_at_10"] == 1.0
    ideal = 3.0 + 1.0 / np.log2(3)
    assert result.figures["ndcg_at_20"] == pytest.approx((1.0 + 3.0 / np.log2(4)) / ideal, abs=1e-6)
    assert (result.queries, result.queries_with_positive) == (2, 1)


def test_a_gain_is_bounded_and_a_score_of_nothing_is_none():
    found = gold({9: {0: 1e4, 1: -1e4, 2: 0.0, 3: score(1.0)}})
    assert found.scored["gain"].to_list() == pytest.approx([2.0**8 - 1, 0.0, 0.0, 1.0])
    assert found.queries.select("scored", "positives", "eligible").row(0) == (4, 2, 5)


def test_agreement_with_rax():
    import rax

    generator = np.random.default_rng(1)
    chunks = 45  # query 48 at stride 2 has 45 eligible chunks
    for _ in range(20):
        gains = generator.random(chunks) * (generator.random(chunks) < 0.2)
        if not gains.any():
            continue
        scores = generator.random(chunks)
        labelled = {chunk: score(gain) if gain else -1.0 for chunk, gain in enumerate(gains)}
        result = measure(gold({48: labelled}), ranked({48: np.argsort(-scores)[:RANKING_LENGTH].tolist()}))
        relevant = (gains > 0).astype(float)
        assert result.figures["precision_at_2"] == pytest.approx(
            float(rax.precision_metric(scores, relevant, topn=2)), abs=1e-6
        )
        assert result.figures["recall_at_10"] == pytest.approx(
            float(rax.recall_metric(scores, relevant, topn=10)), abs=1e-6
        )
        ndcg = rax.ndcg_metric(scores, gains, topn=20, gain_fn=lambda gain: gain)
        assert result.figures["ndcg_at_20"] == pytest.approx(float(ndcg), abs=1e-5)


def test_chance_is_the_mean_over_all_orders():
    found = gold({9: {0: score(2.0), 3: score(0.5), 4: -1.0}})
    orders = [measure(found, ranked({9: list(order)})) for order in itertools.permutations(range(5))]
    chance = measure(found, None)
    assert [chance.figures[key] for key in FIGURES] == pytest.approx(
        [np.mean([order.figures[key] for order in orders]) for key in FIGURES]
    )
    assert chance.figures["precision_at_2"] == pytest.approx(2 / 5)
    assert chance.figures["recall_at_10"] == 1.0


def test_chance_of_long_lists_in_closed_form():
    found = gold({63: {1: score(2.0), 7: score(0.5), 9: -1.0}})
    eligible = 59
    chance = measure(found, None)
    assert chance.figures["precision_at_2"] == pytest.approx(2 / eligible)
    assert chance.figures["recall_at_10"] == pytest.approx(10 / eligible)
    discounts = 1 / np.log2(2 + np.arange(20))
    assert chance.figures["ndcg_at_20"] == pytest.approx(
        2.5 / eligible * discounts.sum() / (2.0 + 0.5 / np.log2(3)), abs=1e-6
    )


def test_the_ideal_order_has_no_more_than_twenty_places():
    found = gold({63: {chunk: score(1.0) for chunk in range(30)}})
    assert measure(found, ranked({63: list(range(20))})).figures["ndcg_at_20"] == pytest.approx(1.0)
    assert measure(found, ranked({63: list(range(20))})).figures["recall_at_10"] == pytest.approx(1 / 3)


def test_what_was_not_ranked_follows_in_random_order():
    found = gold({9: {0: score(2.0), 3: score(0.5), 4: -1.0}})
    rest = [measure(found, ranked({9: [3, *order]})) for order in itertools.permutations([0, 1, 2, 4])]
    partial = measure(found, ranked({9: [3]}))
    assert [partial.figures[key] for key in FIGURES] == pytest.approx(
        [np.mean([order.figures[key] for order in rest]) for key in FIGURES]
    )
    assert measure(found, ranked({9: []})) == measure(found, None)
    assert measure(found, ranked({10: [1, 2]})) == measure(found, None)


def test_reranking_is_among_the_scored_candidates_alone():
    scored = {chunk: score(1.0) if chunk in (5, 40) else -1.0 for chunk in range(0, 60, 5)}
    found = gold({70: scored})
    result = measure(found, ranked({70: [1, 2, 40, 3, 0, 5]}), rerank=True)
    assert result.figures["precision_at_2"] == 0.5
    everything = measure(found, ranked({70: [1, 2, 40, 3, 0, 5]}))
    assert everything.figures["precision_at_2"] == 0.0
    assert measure(found, None, rerank=True).figures["precision_at_2"] == pytest.approx(2 / 12)
    # 12 candidates are under 2 x 10: chance alone would be near the best.
    assert result.figures["recall_at_10"] is None
    assert result.figures["ndcg_at_20"] is None


@pytest.mark.parametrize(("candidates", "shown"), [(3, 0), (4, 1), (19, 1), (20, 2), (39, 2), (40, 3)])
def test_reranked_figures_need_twice_as_many_candidates(candidates, shown):
    result = measure(gold({70: {chunk: score(1.0) for chunk in range(candidates)}}), None, rerank=True)
    assert [result.figures[key] is not None for key in FIGURES] == [place < shown for place in range(3)]


def test_without_a_positive_only_precision_counts():
    result = measure(gold({9: {0: -1.0}}), ranked({9: [0, 1, 2, 3, 4]}))
    assert [result.figures[key] for key in FIGURES] == [0.0, None, None]


def test_recency_ranks_only_eligible_chunks_nearest_first():
    ranking = recency_ranking(gold({5: {0: 1.0}, 11: {0: 1.0}, 60: {0: 1.0}}))
    assert ranking["ranking"].to_list() == [[0], [6, 5, 4, 3, 2, 1, 0], list(range(56, 36, -1))]


def test_bm25_ranks_as_mined_for_the_query_chunk_alone():
    rows = {
        "doc_id": ["d"] * 4,
        "query_form": ["q", "qt", "q", "q"],
        "query_chunk": [9, 9, 9, 10],
        "candidate_chunk": [4, 3, 1, 2],
        "rank": [1, 0, 0, 25],
    }
    assert bm25_ranking(pl.DataFrame(rows)).rows() == [("d", 9, [1, 4])]
