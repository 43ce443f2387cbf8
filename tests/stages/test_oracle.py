"""The oracles' choices, from labels written by hand."""

import polars as pl

from stages.oracle import oracle_choices


def test_the_best_positive_candidates_are_chosen_and_a_scored_query_may_have_none():
    rows = [
        ("d", "test", 9, 3, 0, 1.5),
        ("d", "test", 9, 1, 1, -2.0),
        ("d", "test", 9, 5, 2, 7.0),
        ("d", "test", 9, 2, 3, 1.5),
        ("d", "test", 12, 4, 0, 0.0),
        ("e", "validation", 9, 3, 0, 1.0),
        ("f", "test", 8, 3, 0, 0.1),
    ]
    labels = pl.DataFrame(rows, ["doc_id", "split", "query_chunk", "candidate_chunk", "rank", "target_score"], orient="row")
    assert oracle_choices(labels, "test", 2) == {"d": {9: [5, 3], 12: []}, "f": {8: [3]}}
    assert oracle_choices(labels, "test", 5)["d"][9] == [5, 3, 2]
