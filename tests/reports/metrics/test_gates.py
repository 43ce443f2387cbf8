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
    ("name", "sums", "value", "passed"),
    [
        ("planted copy", [(6.0, 10), (4.0, 10)], 0.5, True),
        ("planted copy", [(6.0, 10), (3.9, 10)], 0.495, False),
        ("BM25 over chance", [(1.0, 10), (0.1, 10)], 0.055, True),
        ("BM25 over chance", [(1.0, 10), (-0.1, 10)], 0.045, False),
        ("BM25 over chance", [(0.0, 10), (0.0, 10)], 0.0, False),
        ("split-half correlation", [(2.0, 10.0, 10.0)], 0.2, True),
        ("split-half correlation", [(-9.0, 10.0, 10.0)], -0.9, False),
        ("positive rate", [(2, 100)], 0.02, True),
        ("positive rate", [(1, 100)], 0.01, False),
        ("positive rate", [(60, 100)], 0.6, True),
        ("positive rate", [(61, 100)], 0.61, False),
        ("train over validation", [(24, 100)], 1.25, True),
        ("train over validation", [(22, 100)], 300 / 220, False),
        ("train over validation", [(40, 100)], 0.75, False),
    ],
)
def test_each_gate_passes_up_to_its_limit(name, sums, value, passed):
    row = measured(name, blocks(name, *sums))
    assert (row.value, row.passed) == (pytest.approx(value, abs=1e-6), passed)
    assert row.low <= row.value <= row.high
    assert row.a_byte == (
        pytest.approx(value / 2.5, abs=1e-6) if row.unit == "nats a pipeline token" else None
    )
    assert (BY_NAME[name].or_else in row.sentence) != passed


@pytest.mark.parametrize("name", BY_NAME)
def test_what_cannot_be_measured_has_not_passed(name):
    empty = blocks(name, (0.0,) * len(BY_NAME[name].columns))
    for validation in (empty, empty.clear()):
        row = measured(name, validation)
        assert (row.value, row.low, row.passed) == (None, None, False)
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
