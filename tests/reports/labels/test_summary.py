"""The figures of a label set against a slow computation, and where there is nothing to say."""

import json
from dataclasses import asdict

import numpy as np
import polars as pl
import pytest

from benchmarks._label_sets import alter_label_set, make_label_set
from reports.labels.label_set import open_label_set
from reports.labels.summary import QUANTILES, summary


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("corpus")
    make_label_set(home / "whole", documents=12, chunks=40, candidates=12, shards=3)
    alter_label_set(
        home / "whole" / "labels",
        home,
        lambda rows: rows.filter((pl.col("split") != "train") | (pl.col("rank") < 3)),
    )
    return home


@pytest.fixture(scope="module")
def result(home):
    return summary(open_label_set(home / "labels", home / "cache"), documents=4)


@pytest.mark.parametrize("split", ["all", "train", "validation", "test"])
def test_figures_are_those_of_the_rows(home, result, split):
    rows = pl.read_parquet(home / "labels" / "*.parquet")
    rows = rows if split == "all" else rows.filter(pl.col("split") == split)
    figures = result.splits[split]
    queries = ["doc_id", "query_chunk"]
    assert (figures.documents, figures.pairs) == (rows["doc_id"].n_unique(), len(rows))
    assert figures.queries == rows.select(queries).n_unique()
    assert figures.positive_rate == pytest.approx((rows["target_score"] > 0).mean())
    most = rows["rank"].max() + 1
    assert figures.candidates == most
    for k, mean in figures.best_score.items():
        best = (
            rows.filter(pl.col("rank") < int(k))
            .group_by(queries)
            .agg(pl.col("target_score").max())["target_score"]
        )
        assert mean == (pytest.approx(best.mean(), rel=1e-5) if int(k) <= most else None)
    exact = np.quantile(rows["target_score"].to_numpy(), QUANTILES, method="lower")
    assert list(figures.score_quantiles.values()) == pytest.approx(list(exact), abs=0.0051)


def test_a_split_with_few_candidates_has_no_figure_beyond_them(result):
    assert result.splits["train"].best_score["5"] is None
    assert result.splits["test"].best_score["5"] is not None


def test_the_largest_documents_come_first(result):
    sizes = [document.queries for document in result.documents]
    assert len(sizes) == 4
    assert sizes == sorted(sizes, reverse=True)


def test_the_result_is_json(result):
    assert json.loads(json.dumps(asdict(result), allow_nan=False)) == asdict(result)
