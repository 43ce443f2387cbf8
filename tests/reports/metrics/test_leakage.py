"""Overlaps of targets and losses by them, against a count by hand."""

import math

import polars as pl
import pyarrow as pa
import pytest

from data_contracts.evaluations import BY_CHANCE, OWN, WITHOUT
from reports.html.leakage_table import leakage_table
from reports.metrics.evaluation_rows import aligned
from reports.metrics.leakage import leakage, overlaps

SIZE = 16


def test_the_overlap_of_a_target_is_the_larger_of_what_is_read_and_of_its_own_passages():
    rows = [
        # doc, query, origin, overlap of the query, of the target
        ("a", 0, "nearest", 9, 1),
        ("a", 0, "nearest", 2, 4),
        ("a", 0, "random", 15, 15),
        ("a", 1, "nearest", 3, 7),
        ("a", 2, "nearest", 8, 2),
        ("b", 0, "nearest", 5, 6),
    ]
    names = ["doc_id", "query_chunk", "origin", "query_overlap", "target_overlap"]
    table = pa.table({name: [row[place] for row in rows] for place, name in enumerate(names)})
    found = {(row["doc_id"], row["chunk"]): row["overlap"] for row in overlaps(table).to_dicts()}
    # Target 1 of a: read at query 0 it shares 4, its own passages share 3; target 2: 7 and 8; target 3 was
    # never a query.
    assert found == {("a", 0): 4, ("a", 1): 8, ("a", 2): 2, ("b", 0): 6}


@pytest.fixture
def evaluations():
    """Two documents of four rows; with its own passages a chunk has 10 nats less for each token of overlap,
    by chance 1 less than none.
    """
    frames = {}
    for setting in (OWN, WITHOUT, BY_CHANCE):
        rows = [(doc, chunk, 16, 20) for doc in "ab" for chunk in (-1, 0, 1, 2)]
        loss = [
            200.0 - (10 * OVERLAP.get((doc, chunk), 0) if setting == OWN else setting == BY_CHANCE)
            for doc, chunk, _, _ in rows
        ]
        columns = {
            name: [row[place] for row in rows]
            for place, name in enumerate(("doc_id", "chunk", "tokens", "bytes"))
        }
        frames["it", setting] = pl.DataFrame({**columns, "eligible": [0] * len(rows), "loss": loss})
    return aligned(frames, {"it": "retro_corpus"}, {"it": 0})


OVERLAP = {("a", 0): 0, ("a", 1): 2, ("a", 2): 16, ("b", 0): 3, ("b", 1): 8, ("b", 2): 0}


def test_losses_are_counted_by_overlap(evaluations):
    rows = [
        # one is not whole: nobody looked for a near duplicate of it
        {"doc_id": doc, "chunk": chunk, "overlap": value, "duplicate": None if value == 8 else value > 2}
        for (doc, chunk), value in OVERLAP.items()
    ]
    overlap = pl.DataFrame(rows)
    rows = leakage(evaluations, overlap, SIZE, ("it", OWN), [("it", WITHOUT), ("it", BY_CHANCE)], 50)
    by = {(row.kind == "at_most", row.least, row.most): row for row in rows}
    assert [row.chunks for row in rows] == [3, 4, 5, 5, 6, 3, 1, 1, 0, 1, 2, 3]
    assert [row.gains["it none"].value for row in rows[-2:]] == pytest.approx([190 / 32, 20 / 48])
    assert by[True, 0, 2].gains["it none"].value == pytest.approx(20 / 48)
    assert by[True, 0, 2].gains["it by_chance"].value == pytest.approx((20 - 3) / 48, abs=1e-5)
    assert by[False, 13, 16].gains["it none"].value == pytest.approx(160 / 16)
    assert by[False, 13, 16].bits_per_byte["it own"] == pytest.approx(40 / 20 / math.log(2), abs=1e-5)
    assert by[False, 9, 12].gains["it none"].value is None
    assert by[True, 0, 16].bits_per_byte["it none"] == pytest.approx(200 / 20 / math.log(2), abs=1e-5)
    whole = by[True, 0, 16].gains["it none"]
    assert whole.low <= whole.value <= whole.high
    cells = {row[0]: row[1:] for row in leakage_table(rows, SIZE, {"it own": "own"}).rows}
    assert cells["at most 2"][0] == cells["no near duplicate, of 5 whole"][0] == "3"
    assert cells["near duplicate, of 5 whole"][0] == "2"
    assert cells["9 to 12"] == ["0", *["n/a"] * 5]
    assert {len(row) for row in cells.values()} == {6}
