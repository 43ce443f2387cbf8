"""Label gates: their figures by hand, their limits from both sides, and intervals that come from
documents.
"""

import numpy as np
import polars as pl
import pytest

from reports.metrics.gates import GATES, GateFigures, by_block, label_sums, resampled

BY_NAME = {gate.name: gate for gate in GATES}
TRAIN = pl.DataFrame({"doc_id": ["t"], "shared_positives": [300], "shared_pairs": [1000]})


def labels(halves: dict[tuple[str, str, int], list[tuple[float, float]]]) -> pl.DataFrame:
    """Labels of {(split, doc_id, query): s_t of both halves, a candidate}; the local context scores (-50,
    -70).
    """
    rows = [
        {
            "split": split,
            "doc_id": doc_id,
            "query_chunk": query,
            "rank": rank,
            "candidate_halves": [first - 50.0, second - 70.0],
            "target_score": first + second,
        }
        for (split, doc_id, query), pairs in halves.items()
        for rank, (first, second) in enumerate(pairs)
    ]
    return pl.DataFrame(
        rows, schema_overrides={"candidate_halves": pl.Array(pl.Float32, 2), "query_chunk": pl.Int32}
    )


def measured(name: str, validation: pl.DataFrame, train: pl.DataFrame = TRAIN) -> GateFigures:
    return BY_NAME[name].measure(validation, train, 200, np.random.default_rng(0))


def blocks(name: str, *sums: tuple[float, ...]) -> pl.DataFrame:
    """One block a document with these sums of the columns that a gate takes."""
    columns = dict(zip(BY_NAME[name].columns, map(list, zip(*sums, strict=True)), strict=True))
    in_bytes = {"bytes": [2.5 * row[-1] for row in sums]}  # of a token in each query's target
    return pl.DataFrame({"doc_id": [str(number) for number in range(len(sums))], **columns, **in_bytes})


def test_sums_by_block_are_those_of_the_split_and_of_the_first_ranks():
    table = labels(
        {
            ("train", "a", 3): [(1.0, 1.0)],
            ("validation", "b", 63): [(1.0, 1.0), (-1.0, 0.5), (2.0, -3.0)],
            ("validation", "b", 64): [(1.0, -2.0), (4.0, 0.0)],
            ("validation", "c", 64): [(-1.0, -1.0)],
        }
    )
    sums = label_sums(table, "validation", shared_ranks=2)
    assert sums["doc_id"].to_list() == ["b", "b", "c"]
    assert sums["pairs"].to_list() == [3, 2, 1]
    assert sums["positives"].to_list() == [1, 1, 0]
    assert sums["shared_pairs"].to_list() == [2, 2, 1]
    assert sums["shared_positives"].to_list() == [1, 1, 0]


def test_the_correlation_of_halves_is_within_queries():
    rng = np.random.default_rng(3)
    # Far apart between queries, of one document and of the same number in another, so that a correlation over
    # all pairs would be near 1.
    queries = [("validation", doc_id, query) for doc_id in "ab" for query in (0, 70, 200)]
    scores = {key: rng.normal(40 * number, 1, (6, 2)) * [1.0, 2.0] for number, key in enumerate(queries)}
    sums = label_sums(
        labels({key: list(map(tuple, pairs)) for key, pairs in scores.items()}), "validation", 2
    )
    centred = np.concatenate([pairs - pairs.mean(axis=0) for pairs in scores.values()])
    assert measured("split-half correlation", sums).value == pytest.approx(
        np.corrcoef(centred.T)[0, 1], abs=1e-4
    )


@pytest.mark.parametrize(
    ("name", "sums", "value", "verdict"),
    [
        ("planted copy", [(6.0, 10), (4.0, 10)], 0.5, "passed"),
        ("planted copy", [(6.0, 10), (3.9, 10)], 0.495, "cannot tell"),
        ("planted copy", [(4.9, 10), (4.0, 10)], 0.445, "failed"),
        ("BM25 over chance", [(1.0, 10), (0.1, 10)], 0.055, "passed"),
        ("BM25 over chance", [(1.0, 10), (-0.1, 10)], 0.045, "cannot tell"),
        ("BM25 over chance", [(1.0, 10), (-1.1, 10)], -0.005, "failed"),
        ("BM25 over chance", [(0.0, 10), (0.0, 10)], 0.0, "failed"),
        ("split-half correlation", [(2.0, 10.0, 10.0)], 0.2, "passed"),
        ("split-half correlation", [(2.5, 10.0, 10.0), (1.0, 10.0, 10.0)], 0.175, "cannot tell"),
        ("split-half correlation", [(-9.0, 10.0, 10.0)], -0.9, "failed"),
        ("positive rate", [(2, 100)], 0.02, "passed"),
        ("positive rate", [(1, 100)], 0.01, "failed"),
        ("positive rate", [(60, 100)], 0.6, "passed"),
        ("positive rate", [(70, 100), (55, 100)], 0.625, "cannot tell"),
        ("positive rate", [(61, 100)], 0.61, "failed"),
        ("train over validation", [(24, 100)], 1.25, "passed"),
        ("train over validation", [(22, 100)], 300 / 220, "failed"),
        ("train over validation", [(10, 100), (30, 100)], 1.5, "cannot tell"),
        ("train over validation", [(40, 100)], 0.75, "failed"),
    ],
)
def test_each_gate_has_its_limits_and_its_interval_may_reach_them(name, sums, value, verdict):
    row = measured(name, blocks(name, *sums))
    assert (row.value, row.verdict) == (pytest.approx(value, abs=1e-6), verdict)
    assert row.low <= row.value <= row.high
    assert row.a_byte == (
        pytest.approx(value / 2.5, abs=1e-6) if row.unit == "nats a pipeline token" else None
    )
    assert (BY_NAME[name].or_else in row.sentence) == (verdict == "failed")
    assert ("cannot tell" in row.sentence) == (verdict == "cannot tell")


def test_what_cannot_tell_says_how_many_documents_could():
    # The interval reaches from 0.39 to 0.60 and 0.5 is asked: (0.105 / 0.005) ** 2 times as many documents.
    said = measured("planted copy", blocks("planted copy", (6.0, 10), (3.9, 10))).sentence
    assert "[0.390, 0.600] over 2 documents holds the limit" in said
    assert "about 882 could" in said
    said = measured("planted copy", blocks("planted copy", (6.0, 10), (3.99, 10))).sentence
    assert "more than 1,000 could" in said


@pytest.mark.parametrize("name", BY_NAME)
def test_what_cannot_be_measured_has_failed(name):
    empty = blocks(name, (0.0,) * len(BY_NAME[name].columns))
    for validation in (empty, empty.clear()):
        row = measured(name, validation)
        assert (row.value, row.low, row.verdict) == (None, None, "failed")
        assert name in row.sentence


def test_documents_are_drawn_before_blocks():
    table = pl.DataFrame({"doc_id": ["a", "a", "a", "b"], "x": [1.0, 10.0, 100.0, 1000.0]})
    totals = resampled(table, ("x",), 300, np.random.default_rng(0))[:, 0]
    within_a = {
        sum(drawn) for drawn in ((x, y, z) for x in (1, 10, 100) for y in (1, 10, 100) for z in (1, 10, 100))
    }
    twice_a = {first + second for first in within_a for second in within_a}
    assert set(totals) <= {2000.0} | {1000.0 + total for total in within_a} | twice_a
    assert (totals == 2000.0).mean() == pytest.approx(0.25, abs=0.08)


def test_a_document_in_two_blocks_stands_together():
    rows = pl.DataFrame({"doc_id": ["b", "b", "b", "a"], "query_chunk": [1, 63, 64, 2], "x": [1, 2, 3, 4]})
    assert by_block(rows, x=pl.col("x").sum()).rows() == [("b", 3), ("b", 3), ("a", 4)]
