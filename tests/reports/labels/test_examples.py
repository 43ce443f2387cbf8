"""Examples are the most striking pairs of their kind, whatever the order in which shards come, and show what
they are about.
"""

import polars as pl
import pytest

from reports.labels.examples import EACH, KINDS, SHOWN, choose, with_texts
from reports.labels.rows import shards_of

IS_BEST = pl.col("score") == pl.col("best")


@pytest.fixture(scope="module")
def pairs(label_set):
    """All pairs with what decides about examples."""
    parts = [
        pl.DataFrame(
            {
                "document": rows.documents["doc_id"].gather(rows.document_R),
                "query": rows.query_R,
                "candidate": rows.candidate_R,
                "rank": rows.rank_R,
                "score": rows.score_R,
                "copied": rows.copied_R > 0,
            }
        )
        for rows in shards_of(label_set)
    ]
    of_query = pl.col("score").max().over("document", "query"), pl.len().over("document", "query")
    return pl.concat(parts).with_columns(best=of_query[0], count=of_query[1])


@pytest.fixture(scope="module")
def chosen(label_set):
    found = None
    for rows in shards_of(label_set):
        found = choose(rows, found)
    return found


@pytest.mark.parametrize(
    ("kind", "condition", "descending"),
    [
        ("best", (pl.col("score") > 0) & ~pl.col("copied"), True),
        (
            "surprising",
            IS_BEST & (pl.col("score") > 0) & ~pl.col("copied") & (2 * pl.col("rank") >= pl.col("count")),
            True,
        ),
        ("worst", IS_BEST & (pl.col("score") <= 0), False),
        ("copy", pl.col("copied"), True),
    ],
)
def test_each_kind_has_the_most_striking_pair_of_each_document(pairs, chosen, kind, condition, descending):
    expected = pairs.filter(condition & (pl.col("count") > 1 if kind == "surprising" else True)).sort(
        "score", descending=descending
    )
    expected = expected.unique("document", keep="first", maintain_order=True).head(EACH)
    found = chosen.filter(pl.col("kind") == kind)
    assert len(found) == EACH
    assert (
        found.drop("kind").rows() == expected.select("document", "query", "candidate", "rank", "score").rows()
    )


def test_shards_in_another_order_choose_the_same(label_set, chosen):
    found = None
    for rows in reversed(list(shards_of(label_set))):
        found = choose(rows, found)
    assert found.rows() == chosen.rows()


def test_texts_are_those_of_the_chunks_and_the_pair_in_question_comes_first(label_set, chosen):
    shown = with_texts(label_set, chosen)
    assert list(shown) == list(KINDS)
    for row in chosen.iter_rows(named=True):
        example = next(one for one in shown[row["kind"]] if one.doc_id == row["document"])
        text = label_set.chunks(row["document"])["text"]
        labels = label_set.labels(row["document"]).filter(pl.col("query_chunk") == row["query"])
        assert (example.query, example.target) == (text[row["query"]], text[row["query"] + 1])
        first, *others = example.candidates
        assert (first.chunk, first.rank, first.score) == (
            row["candidate"],
            row["rank"],
            pytest.approx(row["score"]),
        )
        assert first.text == text[row["candidate"]] + text[row["candidate"] + 1]
        assert len(example.candidates) == min(SHOWN, len(labels))
        assert row["rank"] == 0 or others[0].rank == 0
        rest = [candidate.score for candidate in others[row["rank"] != 0 :]]
        assert rest == sorted(rest, reverse=True)
        assert (first.copied > 0) == (row["kind"] == "copy" or first.copied > 0)
