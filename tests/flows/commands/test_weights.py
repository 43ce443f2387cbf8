"""`rpt weights` on the finished pipeline: weights, a sample, and figures before and after rounding."""

import json

import polars as pl
import pytest

from data_contracts.failure import Exit
from stages.evaluation.texts import TextReader
from tests.pipelines import private

RUNS = ("demo-transformer_xl", "demo-rpt_sem")


def test_weights_are_kept_with_figures_before_and_after_rounding(finished, tmp_path, rpt):
    root = private(finished, tmp_path / "project")
    documents = pl.read_parquet(root / "artifacts/demo/documents/*.parquet").filter(pl.col("split") == "test")
    doc_id, text = documents.select("doc_id", "text").row(0)
    done = rpt(root, "weights", *RUNS, "--sample", doc_id)
    assert done.returncode == 0, done.stderr
    kept = root / done.stdout.strip()
    figures = json.loads((kept / "figures.json").read_text())
    assert [row["doc_id"] for row in figures["sample"]["documents"]] == [doc_id]
    assert figures["held_out"]["float32"]["documents"] == len(documents)
    for kind, (before, after) in {
        row["system"]: (row["all"], other["all"])
        for row, other in zip(
            *(figures["held_out"][name]["rows"] for name in ("float32", "float16")), strict=True
        )
    }.items():
        assert after["perplexity"]["value"] == pytest.approx(before["perplexity"]["value"], rel=1e-2), kind
        assert (after["without_neighbours"] is None) == (kind == "transformer_xl")
    reading = TextReader(kept, "rpt_sem").read(text)
    (row,) = (row for row in figures["sample"]["float16"]["rows"] if row["system"] == "rpt_sem")
    evaluated = pl.read_parquet(kept / "evaluations/rpt_sem/*.parquet").filter(pl.col("setting") == "own")
    counted = evaluated["tokens"].sum()
    assert reading.losses["own"][:counted].sum() == pytest.approx(evaluated["loss"].sum(), rel=1e-4)
    assert row["all"]["perplexity"]["value"] == pytest.approx(
        2.718281828 ** (evaluated["loss"].sum() / counted), rel=1e-4
    )


@pytest.mark.parametrize(
    ("runs", "said"), [(("other",), "params.yaml does not name it"), ((RUNS[0], RUNS[0]), "do not make one")]
)
def test_runs_that_cannot_be_kept_are_refused(project, tmp_path, rpt, runs, said):
    done = rpt(private(project, tmp_path / "project"), "weights", *runs, "--sample", "0")
    assert done.returncode == Exit.USAGE
    assert said in done.stderr
