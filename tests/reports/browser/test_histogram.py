"""Bins hold every pair once, have 0 as an edge, and the page shows them."""

import numpy as np
import polars as pl
import pytest

from benchmarks._label_sets import alter_label_set
from reports.browser.histogram import BARS, bins_of, width_of
from reports.labels.label_set import open_label_set

RNG = np.random.default_rng(0)
SPREADS = [
    RNG.normal(0, 4, 1000),
    RNG.normal(30, 0.01, 50),
    RNG.normal(-500, 300, 200),
    np.array([0.0]),
    np.array([-1.0, 1.0]),
    np.linspace(-23, 0, 24),
]


@pytest.mark.parametrize("scores", SPREADS)
def test_every_score_lies_in_one_of_few_bins(scores):
    width = width_of(scores)
    found = bins_of(scores, width)
    assert len(found) <= BARS + 1
    assert sum(held for _, held in found) == len(scores)
    for edge, held in found:
        assert held == ((scores >= edge) & (scores < edge + width)).sum(), edge
        assert round(edge / width) == pytest.approx(edge / width)
    assert found[0][1]
    assert found[-1][1]


def test_a_document_shows_the_spread_of_its_own_pairs(client, parse, label_set):
    own = label_set.documents.row(1, named=True)
    page = parse(client.get(f"/d/{own['doc_id']}").text)
    (words,) = (words for words in page.all_text("figcaption") if "pairs" in words)
    scores = label_set.labels(own["doc_id"])["target_score"]
    positive = f"{100 * (scores > 0).mean():.1f} %"
    assert words.startswith(f"{len(scores):,} pairs, {positive} with s_t > 0")
    assert sum(name == "rect" and attributes["class"] == "bar" for name, attributes in page.elements) >= 10


def test_two_versions_have_a_histogram_each(label_set, client_of, parse, tmp_path):
    def helps_less(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(candidate_logprob=pl.col("candidate_logprob") - pl.lit(40, pl.Float32))

    other = open_label_set(alter_label_set(label_set.directory, tmp_path, helps_less), tmp_path / "cache")
    document = label_set.documents["doc_id"][0]
    page = parse(client_of(label_set, other).get(f"/d/{document}").text)
    assert page.all_text("h3").count("version 1") == 2  # of the strip and of the histogram
    shares = [(one.labels(document)["target_score"] > 0).mean() for one in (label_set, other)]
    assert shares[0] != shares[1]
    for share, words in zip(shares, page.all_text("figcaption"), strict=True):
        assert f" pairs, {100 * share:.1f} % with s_t > 0" in words
