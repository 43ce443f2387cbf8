"""Two label sets compared: every figure against a slow computation with SciPy, whatever the batches, and what
cannot be compared.
"""

import json
from dataclasses import asdict, replace

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from benchmarks._label_sets import alter_label_set, make_label_set
from data_contracts.candidates import LABELS
from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.documents import DOCUMENTS, document_runs
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS
from reports.labels import diff as label_diff
from reports.labels.diff import compare
from reports.labels.label_set import open_label_set
from reports.labels.version_changes import Change, Flips, Held, RankCorrelation
from reports.metrics.rank_correlation import rank_correlations

PAIR = ["doc_id", "query_chunk", "candidate_chunk"]


def fewer_and_noisier(rows: pl.DataFrame) -> pl.DataFrame:
    """Three candidates a query instead of five, some queries left out, other log-probabilities with ties
    among them.
    """
    noise = pl.Series(np.random.default_rng(1).normal(0, 2, len(rows)).round().astype(np.float32))
    kept = rows.with_columns(candidate_logprob=(pl.col("candidate_logprob").round(0) - noise.abs()))
    return kept.filter((pl.col("rank") < 3) & (pl.col("query_chunk") % 7 != 0))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("corpus")
    make_label_set(home / "a", documents=11, chunks=40, candidates=5, shards=3)
    alter_label_set(home / "a" / "labels", home / "b", fewer_and_noisier)
    return home


@pytest.fixture(scope="module")
def opened(home):
    return [open_label_set(home / name / "labels", home / "cache") for name in "ab"]


@pytest.fixture(scope="module")
def tables(home):
    return [pl.read_parquet(home / name / "labels" / "*.parquet") for name in "ab"]


@pytest.fixture(scope="module")
def result(opened):
    return compare(*opened, movers=6)


def part(rows: pl.DataFrame, split: str) -> pl.DataFrame:
    return rows if split == "all" else rows.filter(pl.col("split") == split)


@pytest.mark.parametrize("split", ["all", "train", "validation", "test"])
def test_counts_and_changes_of_pairs(result, tables, split):
    a, b = (part(rows, split) for rows in tables)
    pairs = a.join(b, on=PAIR, suffix="_b")
    before, after = (pairs[name].to_numpy().astype(np.float64) for name in ("target_score", "target_score_b"))
    figures = result.splits[split]
    assert figures.pairs == Held(len(pairs), len(a) - len(pairs), len(b) - len(pairs))
    queries = [set(rows.select("doc_id", "query_chunk").iter_rows()) for rows in (a, b)]
    assert figures.queries == Held(len(queries[0] & queries[1]), len(queries[0] - queries[1]), 0)
    assert figures.pairs.only_a > 0
    assert vars(figures.positive_rate) == pytest.approx(
        {"a": (a["target_score"] > 0).mean(), "b": (b["target_score"] > 0).mean()}
    )
    assert vars(figures.score_change) == pytest.approx(
        {"mean": (after - before).mean(), "mean_absolute": np.abs(after - before).mean()}
    )
    flips = {
        "to_positive": int(((before <= 0) & (after > 0)).sum()),
        "to_negative": int(((before > 0) & (after <= 0)).sum()),
    }
    assert vars(figures.flips) == flips
    assert vars(figures.flip_share) == pytest.approx(
        {name: count / len(pairs) for name, count in flips.items()}
    )
    assert sum(flips.values()) > 0


@pytest.mark.parametrize("split", ["all", "train"])
def test_orders_and_best_candidates_of_queries(result, tables, split):
    a, b = (part(rows, split) for rows in tables)
    from scipy import stats

    rhos, taus, same, changes = [], [], [], []
    of_b = {key: rows for key, rows in b.group_by("doc_id", "query_chunk")}
    for key, rows in a.group_by("doc_id", "query_chunk"):
        if (other := of_b.get(key)) is None:
            continue
        best, best_b = (
            side.sort("target_score", "rank", descending=[True, False]).row(0, named=True)
            for side in (rows, other)
        )
        same.append(best["candidate_chunk"] == best_b["candidate_chunk"])
        changes.append(best_b["target_score"] - best["target_score"])
        both = rows.join(other, on="candidate_chunk", suffix="_b")
        if both["target_score"].n_unique() > 1 and both["target_score_b"].n_unique() > 1:
            rhos.append(stats.spearmanr(both["target_score"], both["target_score_b"]).statistic)
            taus.append(stats.kendalltau(both["target_score"], both["target_score_b"]).statistic)
    figures = result.splits[split]
    expected = {"queries": len(rhos), "spearman": np.mean(rhos), "kendall": np.mean(taus)}
    assert vars(figures.rank_correlation) == pytest.approx(expected)
    assert 0 < expected["kendall"] < expected["spearman"] < 1
    assert figures.same_best == pytest.approx(np.mean(same))
    changes = np.array(changes)
    expected = {
        "mean": changes.mean(),
        "mean_absolute": np.abs(changes).mean(),
        "higher": (changes > 0).mean(),
        "lower": (changes < 0).mean(),
    }
    assert vars(figures.best_change) == pytest.approx(expected, rel=1e-5)


def test_movers_are_the_largest_changes_in_order(result, tables):
    pairs = (
        tables[0]
        .join(tables[1], on=PAIR, suffix="_b")
        .with_columns(change=pl.col("target_score_b") - pl.col("target_score"))
    )
    largest = pairs.sort(pl.col("change").abs(), descending=True).head(6)
    assert [abs(mover.change) for mover in result.movers] == pytest.approx(
        largest["change"].abs().to_list(), rel=1e-5
    )
    for mover in result.movers:
        found = pairs.filter(*(pl.col(name) == getattr(mover, name) for name in PAIR)).row(0, named=True)
        assert vars(mover.a) == {name: found[name] for name in ("rank", "bm25", "target_score")}
        assert vars(mover.b) == {name: found[f"{name}_b"] for name in ("rank", "bm25", "target_score")}
        assert mover.source.startswith("book-")
    best = [rows.group_by("doc_id", "query_chunk").agg(pl.col("target_score").max()) for rows in tables]
    changes = (
        best[0]
        .join(best[1], on=["doc_id", "query_chunk"], suffix="_b")
        .select(pl.col("target_score_b") - pl.col("target_score"))
    )
    largest = changes.to_series().abs().sort(descending=True).head(6)
    assert [abs(mover.change) for mover in result.best_movers] == pytest.approx(largest.to_list(), rel=1e-5)


def test_the_result_is_json_and_says_what_was_compared(result, opened):
    assert json.loads(json.dumps(asdict(result), allow_nan=False)) == asdict(result)
    assert result.documents == Held(11, 0, 0)
    assert (result.a.candidates, result.b.candidates) == (5, 3)
    assert [result.a.digest, result.b.digest] == [labels.digest for labels in opened]


def test_batches_make_no_difference(opened, result, monkeypatch):
    monkeypatch.setattr(label_diff, "BATCH_PAIRS", 300)
    again = compare(*opened, movers=6)
    assert again.movers == result.movers
    assert again.best_movers == result.best_movers
    for split, figures in again.splits.items():
        for name, value in asdict(figures).items():
            assert value == pytest.approx(asdict(result.splits[split])[name])


def test_a_set_against_itself_changes_nothing(opened):
    same = compare(opened[0], opened[0])
    figures = same.splits["all"]
    assert (same.movers, same.best_movers) == ([], [])
    assert (figures.same_best, figures.rank_correlation.kendall, figures.flips) == (1, 1, Flips(0, 0))
    assert figures.score_change == Change(0, 0)


def test_the_other_way_round_is_the_mirror_image(opened, result):
    back, figures = compare(opened[1], opened[0]).splits["all"], result.splits["all"]
    assert back.pairs.only_b == figures.pairs.only_a
    assert back.flips.to_positive == figures.flips.to_negative
    assert back.best_change.mean == pytest.approx(-figures.best_change.mean)
    assert vars(back.rank_correlation) == pytest.approx(vars(figures.rank_correlation))


def test_documents_of_one_side_only_are_counted(home, tmp_path, opened):
    gone = opened[0].documents["doc_id"].gather([0, 5])
    fewer = alter_label_set(
        home / "a" / "labels",
        tmp_path / "fewer",
        lambda rows: rows.filter(~pl.col("doc_id").is_in(gone.implode())),
    )
    result = compare(opened[0], open_label_set(fewer, tmp_path / "cache"))
    assert result.documents == Held(9, 2, 0)
    lost = opened[0].documents.filter(pl.col("doc_id").is_in(gone.implode()))
    assert result.splits["all"].pairs.only_a == lost["pairs"].sum() > 0
    assert result.splits["all"].queries.only_a == lost["queries"].sum() > 0


def test_other_shards_and_another_order_of_documents_make_no_difference(home, tmp_path, opened, result):
    for contract in (DOCUMENTS, CHUNKS, LABELS):
        table = open_artifact(contract, home / "b" / contract.name).read_all()
        runs = document_runs(table.column("doc_id"))
        turned = pa.concat_tables([table.slice(begin, end - begin) for _, begin, end in reversed(runs)])
        (tmp_path / contract.name).mkdir()
        write_shard(contract, turned, tmp_path / contract.name / "part-00000.parquet")
        commit(contract, tmp_path / contract.name)
    again = compare(opened[0], open_label_set(tmp_path / "labels", tmp_path / "cache"), movers=6)
    assert replace(again, b=result.b) == result


def test_versions_without_a_common_pair_have_counts_and_no_figures(home, tmp_path, opened):
    odd = alter_label_set(
        home / "a" / "labels", tmp_path / "odd", lambda rows: rows.filter(pl.col("query_chunk") % 2 == 1)
    )
    even = alter_label_set(
        home / "a" / "labels", tmp_path / "even", lambda rows: rows.filter(pl.col("query_chunk") % 2 == 0)
    )
    result = compare(*(open_label_set(place, tmp_path / "cache") for place in (odd, even)))
    figures = result.splits["all"]
    assert figures.pairs.common == figures.queries.common == 0
    assert figures.pairs.only_a + figures.pairs.only_b == opened[0].documents["pairs"].sum()
    assert (figures.same_best, figures.rank_correlation) == (None, RankCorrelation(0, None, None))
    assert json.loads(json.dumps(asdict(result), allow_nan=False)) == asdict(result)


def test_other_chunks_are_refused(tmp_path, opened):
    make_label_set(tmp_path, documents=3, chunks=30, candidates=5)
    with pytest.raises(Failure, match=r"40 chunks in .* not 30") as failure:
        compare(opened[0], open_label_set(tmp_path / "labels", tmp_path / "cache"))
    assert failure.value.code == Exit.USAGE


def test_other_tokens_are_refused(tmp_path, opened):
    """As many chunks of another tokenizer: only the tokens tell."""
    make_label_set(tmp_path, documents=4, chunks=40, candidates=5, shards=4)
    with pytest.raises(Failure, match="the tokens of document") as failure:
        compare(opened[0], open_label_set(tmp_path / "labels", tmp_path / "cache"))
    assert "tokenizer" in failure.value.remedy


def test_other_corpora_are_refused(tmp_path, opened):
    make_label_set(tmp_path, documents=3, chunks=40, candidates=5, doc_id="another-{}".format)
    with pytest.raises(Failure, match="different corpora") as failure:
        compare(opened[0], open_label_set(tmp_path / "labels", tmp_path / "cache"))
    assert failure.value.code == Exit.USAGE


def test_rank_correlations_are_those_of_scipy():
    from scipy import stats

    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 6, (2, 300, 9)).astype(np.float64)
    short = np.arange(9) >= rng.integers(0, 10, 300)[:, None]
    a[short], b[short] = np.nan, np.nan
    rho, tau = rank_correlations(a, b)
    for row in range(300):
        kept = ~np.isnan(a[row])
        if len(set(a[row, kept])) < 2 or len(set(b[row, kept])) < 2:
            assert np.isnan([rho[row], tau[row]]).all()
            continue
        assert rho[row] == pytest.approx(stats.spearmanr(a[row, kept], b[row, kept]).statistic)
        assert tau[row] == pytest.approx(stats.kendalltau(a[row, kept], b[row, kept]).statistic)
    assert np.isnan(rho).sum() < 150


def test_many_rows_are_taken_in_parts(monkeypatch):
    a, b = np.random.default_rng(0).normal(size=(2, 50, 7))
    whole = rank_correlations(a, b)
    monkeypatch.setattr("reports.metrics.rank_correlation.CELLS", 100)
    assert np.array_equal(rank_correlations(a, b), whole)
