"""Every code block of docs/labels.md is run on a made label set, and what it gives is compared with a
computation by rows.
"""

import ast
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from benchmarks._label_sets import alter_label_set, make_label_set
from flows.labels import versions as label_versions
from flows.labels.commands import labels
from reports.metrics.gates import label_sums
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "labels.md").read_text()
BLOCKS = re.findall(r"([^\n]*)\n\n```(python|sql|sh)\n(.*?)```", PAGE, re.DOTALL)
QUERY = ["doc_id", "query_chunk"]
NOT_OF_LABELS = ["./rpt use-lm smollm2 --keep-tokenizer", "./rpt plan scoring"]  # tests/docs looks at these


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A workspace with labels in which the query of the page's examples exists."""
    home = tmp_path_factory.mktemp("workspace")
    make_label_set(
        home / "artifacts" / "demo",
        12,
        350,
        20,
        shards=2,
        doc_id=lambda n: "03f06c5a8065e74d" if n == 0 else f"{n:016x}",
    )
    return home


@pytest.fixture(scope="module")
def rows(home) -> pl.DataFrame:
    return pl.read_parquet(home / "artifacts" / "demo" / "labels" / "*.parquet")


@pytest.fixture(scope="module")
def text(home) -> dict[tuple[str, int], str]:
    chunks = pl.read_parquet(home / "artifacts" / "demo" / "chunks" / "*.parquet")
    return {
        (doc_id, chunk): text for doc_id, chunk, text in chunks.select("doc_id", "chunk", "text").iter_rows()
    }


def value(block: str, names: dict[str, Any]) -> Any:
    """The value of the last expression of a block."""
    tree = ast.parse(block)
    last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "docs/labels.md", "exec"), names)
    return eval(compile(last, "docs/labels.md", "eval"), names) if last else None  # noqa: S307


def rate_by_rank(found, rows, text):
    table = dict(zip(found["rank"].to_list(), found["rate"].to_list(), strict=True))
    assert table == pytest.approx(
        {rank: (rows.filter(pl.col("rank") == rank)["target_score"] > 0).mean() for rank in range(20)}
    )
    assert sum(found["pairs"].to_list()) == len(rows)


def best(rows: pl.DataFrame, k: int) -> float:
    return (
        rows.filter(pl.col("rank") < k)
        .group_by(QUERY)
        .agg(pl.col("target_score").max())["target_score"]
        .mean()
    )


def best_by_k(found, rows, text):
    assert found == pytest.approx({k: best(rows, k) for k in (1, 2, 5, 10, 20)}, rel=1e-5)
    assert list(found.values()) == sorted(found.values())


def best_by_split(found, rows, text):
    expected = {
        (split, k): best(rows.filter(pl.col("split") == split), k)
        for split in ("train", "validation", "test")
        for k in (1, 2, 5, 10, 20)
    }
    assert {(split, k): mean for split, k, mean in found.rows()} == pytest.approx(expected, rel=1e-5)


def rate_by_distance(found, rows, text):
    far = rows.filter((rows["query_chunk"] - rows["candidate_chunk"]).is_between(32, 47))
    (row,) = found.filter(pl.col("distance") == 32).rows(named=True)
    assert (row["rate"], row["pairs"]) == (pytest.approx((far["target_score"] > 0).mean()), len(far))
    assert found["pairs"].sum() == len(rows)


def worst_documents(found, rows, text):
    rates = {doc_id: (part["target_score"] > 0).mean() for (doc_id,), part in rows.group_by("doc_id")}
    assert found["doc_id"].to_list() == sorted(rates, key=lambda doc_id: (rates[doc_id], doc_id))[:10]
    assert found["rate"].to_list() == pytest.approx(sorted(rates.values())[:10])
    assert all(source.startswith("book-") for source in found["source"])


def furthest_apart(found, rows, text):
    assert len(found) == 20
    for row in found.rows(named=True):
        of_query = rows.filter(*(pl.col(name) == row[name] for name in QUERY))
        better = (of_query["target_score"] > row["target_score"]).sum()
        assert (row["score_rank"], row["apart"]) == (better, row["rank"] - better)
    assert abs(found["apart"][0]) == 19
    assert found["apart"].abs().to_list() == sorted(found["apart"].abs(), reverse=True)


def highest_with_texts(found, rows, text):
    expected = rows.sort("target_score", descending=True).head(20)
    assert found["target_score"].to_list() == expected["target_score"].to_list()
    for shown, row in zip(found.rows(named=True), expected.rows(named=True), strict=True):
        assert shown["target"] == text[row["doc_id"], row["query_chunk"] + 1]
        assert shown["candidate"] == text[row["doc_id"], row["candidate_chunk"]]


def first_of_bm25_last_of_s_t(found, rows, text):
    lowest = rows.filter(
        pl.col("target_score") == pl.col("target_score").min().over(QUERY), pl.col("rank") == 0
    ).sort("target_score")
    assert found["target_score"].to_list() == lowest["target_score"].head(20).to_list()
    for row in found.rows(named=True):
        assert (row["target"], row["candidate"]) == (
            text[row["doc_id"], row["query_chunk"] + 1],
            text[row["doc_id"], row["candidate_chunk"]],
        )


def halves_agree(found, rows, text):
    sums = pl.concat([label_sums(rows, split, 8) for split in ("train", "validation", "test")])
    expected = sums["covariance"].sum() / np.sqrt(sums["variance_0"].sum() * sums["variance_1"].sum())
    assert found == pytest.approx(expected, abs=1e-3)


def described(found, rows, text):
    for split, part in rows.group_by("split"):
        assert found.loc[split[0], "count"] == len(part)
        assert found.loc[split[0], "mean"] == pytest.approx(part["target_score"].mean(), rel=1e-3)


def those_that_help(found, rows, text):
    assert found.num_rows == (rows["target_score"] > 0).sum()
    assert found.column_names == ["doc_id", "query_chunk", "target_score"]


def meaning_of_columns(found, rows, text):
    assert found["target_score"][1] == "nats"
    assert "candidate_logprob - local_logprob" in found["target_score"][0]
    assert list(found) == rows.columns


CHECKS: dict[tuple[str, str], Callable | None] = {
    ("python", "## With polars"): None,
    ("python", "Positive rate by rank, 0 being the best of BM25:"): rate_by_rank,
    ("python", "Best s_t among the first k, mean over queries, nats:"): best_by_k,
    ("python", "Positive rate by the distance between query and candidate, in chunks:"): rate_by_distance,
    ("python", "Worst documents, those whose candidates help least:"): worst_documents,
    ("python", "Pairs that BM25 and s_t rank furthest apart:"): furthest_apart,
    ("python", "Pairs with the highest s_t, and the texts of target and candidate:"): highest_with_texts,
    (
        "python",
        "Do the two halves of a target agree on a candidate? Noise gives a correlation of 0:",
    ): halves_agree,
    (
        "python",
        "All labels as a pandas frame (name the files: the directory also holds `manifest.json`):",
    ): described,
    ("python", "A few columns of the pairs that help, with pyarrow:"): those_that_help,
    ("python", "What a column means, and its unit:"): meaning_of_columns,
    ("sql", "Positive rate by rank:"): rate_by_rank,
    ("sql", "Best s_t among the first k, by split:"): best_by_split,
    ("sql", "Worst documents:"): worst_documents,
    ("sql", "Candidates that BM25 puts first and s_t last, with their texts:"): first_of_bm25_last_of_s_t,
}


def test_every_block_of_the_page_has_a_check():
    assert len(BLOCKS) == PAGE.count("```") // 2
    assert {(kind, title) for title, kind, _ in BLOCKS if kind != "sh"} == set(CHECKS)


@pytest.mark.parametrize(
    ("title", "kind", "block"),
    [block for block in BLOCKS if block[1] != "sh"],
    ids=lambda text: text.split("\n")[0][:40],
)
def test_a_block_gives_what_its_title_says(home, rows, text, monkeypatch, title, kind, block):
    import duckdb

    monkeypatch.chdir(home)
    names: dict[str, Any] = {}
    value(next(code for name, _, code in BLOCKS if name == "## With polars"), names)
    found = duckdb.sql(block).pl() if kind == "sql" else value(block, names)
    if check := CHECKS[kind, title]:
        check(found, rows, text)


def test_the_commands_of_the_page_run(home, monkeypatch, capsys, tmp_path):
    """HEAD~1:demo and /data/k20 stand for other versions, which are made here;
    tests/flows/labels/test_versions.py takes real revisions.
    """
    real = label_versions.locate
    other = alter_label_set(
        home / "artifacts" / "demo" / "labels",
        tmp_path / "k10",
        lambda rows: rows.filter(pl.col("rank") < 10),
    )
    places = {
        "HEAD~1:demo": other,
        "/data/k20/labels": other,
        "/data/k40/labels": home / "artifacts" / "demo" / "labels",
    }
    monkeypatch.setattr(label_versions, "ROOT", home)
    monkeypatch.setattr(label_versions, "INDEX", tmp_path / "index")
    monkeypatch.setattr(label_versions, "locate", lambda version: places.get(version) or real(version))
    monkeypatch.chdir(tmp_path)
    commands = [command for _, kind, code in BLOCKS if kind == "sh" for command in code.splitlines()]
    assert [command for command in commands if not command.startswith("./rpt labels ")] == NOT_OF_LABELS
    for command in commands[len(NOT_OF_LABELS) :]:
        assert labels(command.split()[2:], result_action="return_value") == 0
        assert capsys.readouterr().out
    assert len(pl.read_csv("labels.csv")) == len(pl.read_parquet("labels.parquet"))
