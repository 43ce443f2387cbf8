"""Who takes a neighbour, what each is worth, and in which order they stand."""

import polars as pl
import pytest

from reports.explorer.neighbours import neighbours
from reports.explorer.run import ChunkResult, Reading

CHUNK, RUN = 9, "sem"


class Document:
    """What `neighbours` looks at of one: BM25 prefers 5, then 3; the reference LM likes 2 best, then 5, and
    not 7.
    """

    bm25 = pl.DataFrame(
        {"query_chunk": [8, 9, 9], "candidate_chunk": [6, 3, 5], "rank": [0, 1, 0], "bm25": [9.0, 2.0, 4.0]}
    )
    scores = pl.DataFrame(
        {"query_chunk": [9, 9, 9, 8], "candidate_chunk": [5, 2, 7, 3], "target_score": [1.0, 3.0, -2.0, 9.0]}
    )


def row(loss, retrieved, ranking=(), gates=()):
    return ChunkResult(
        loss,
        1,
        [loss],
        len(retrieved),
        retrieved,
        list(ranking),
        [2.0 - j for j in range(len(ranking))],
        gates,
    )


ROWS = {
    Reading(RUN): row(10.0, [4, 2], [4, 2, 7], [0.9, 0.5]),
    Reading(RUN, "none"): row(16.0, []),
    Reading(RUN, "first_1"): row(12.0, [4]),
    Reading(RUN, "second"): row(13.0, [2]),
    Reading(RUN, "oracle"): row(9.0, [2, 5]),
    Reading("retro"): row(15.0, [5, 3], [5, 3], [1.0, 1.0]),
}


def found(by=""):
    return {one.chunk: one for one in neighbours(Document(), CHUNK, ROWS, RUN, by)}


def test_who_takes_what():
    assert {chunk: one.taken for chunk, one in found().items()} == {
        4: ("sem",),
        2: ("sem", "oracle"),
        7: (),
        5: ("retro", "BM25", "oracle"),
        3: ("retro", "BM25"),
    }


def test_what_each_is_worth():
    worth = {chunk: (one.alone, one.left_out) for chunk, one in found().items()}
    assert worth == {4: (4.0, 3.0), 2: (3.0, 2.0), 7: (None, None), 5: (None, None), 3: (None, None)}


def test_an_oracle_is_no_setting_that_others_are_compared_with():
    rows = {reading: row for reading, row in ROWS.items() if reading.setting in ("own", "none")} | {
        Reading(RUN, "oracle"): row(9.0, [4])
    }
    assert {(one.alone, one.left_out) for one in neighbours(Document(), CHUNK, rows, RUN, "")} == {
        (None, None)
    }


def test_of_a_chunk_without_labels_no_oracle_takes_anything():
    unlabelled = Document()
    unlabelled.scores = Document.scores.clear()
    assert not any("oracle" in one.taken for one in neighbours(unlabelled, CHUNK, ROWS, RUN, ""))


def test_the_figures_are_those_of_the_shown_run():
    first, last = found()[4], found()[5]
    assert (first.place, first.gate, first.rank, first.score, first.bm25_rank, first.s_t) == (
        0,
        0.9,
        0,
        2.0,
        None,
        None,
    )
    assert (last.place, last.gate, last.rank, last.score, last.bm25_rank, last.bm25, last.s_t) == (
        None,
        None,
        None,
        None,
        0,
        4.0,
        1.0,
    )


@pytest.mark.parametrize(
    ("by", "order"), [("", [4, 2, 7, 5, 3]), ("bm25", [5, 3, 4, 2, 7]), ("s_t", [2, 5, 7, 4, 3])]
)
def test_orders(by, order):
    assert list(found(by)) == order


def test_a_run_that_reads_nothing_still_shows_what_others_took():
    assert [one.chunk for one in neighbours(Document(), CHUNK, ROWS, "transformer_xl", "")] == [5, 3, 2, 4]
