"""`rpt results` on the finished pipeline: it keeps the figures of fresh runs of a profile, and the page
follows them.
"""

import json
import math
import shutil

import polars as pl
import pytest

from flows.commands.results import KEPT, PAGE, results_page
from tests.pipelines import private


@pytest.fixture
def root(finished, tmp_path):
    """A copy of the finished pipeline whose params.yaml is a profile too."""
    root = private(finished, tmp_path / "project")
    for folder in ("profiles", "docs"):
        (root / folder).mkdir()
    shutil.copy(root / "params.yaml", root / "profiles" / "tiny.yaml")
    return root


def test_the_figures_of_a_profile_are_kept_and_the_page_is_written(root, rpt):
    done = rpt(root, "results", "tiny")
    assert done.returncode == 0, done.stderr
    kept = KEPT / "tiny.demo.json"
    assert kept.as_posix() in done.stdout.splitlines()
    assert PAGE in done.stdout.splitlines()
    result = json.loads((root / kept).read_text())
    for row in result["rows"]:
        rows = pl.read_parquet(
            root / "artifacts/demo/evaluations" / f"demo-{row['system']}" / "*.parquet"
        ).filter(pl.col("setting") == "own")
        assert row["all"]["perplexity"]["value"] == pytest.approx(
            math.exp(rows["loss"].sum() / rows["tokens"].sum()), rel=1e-5
        )
        assert row["parameters"] > 0
    assert (root / PAGE).read_text() == results_page(root)
    before = (root / kept).read_bytes()
    assert rpt(root, "results", "tiny").returncode == 0
    assert (root / kept).read_bytes() == before
    (root / kept).write_text(before.decode().replace('"documents": ', '"documents": 9'))
    assert (root / PAGE).read_text() != results_page(root)


def test_other_parameters_and_stale_runs_are_refused(root, rpt):
    assert rpt(root, "config", "-o", "training.steps=5").returncode == 0
    refused = rpt(root, "results", "tiny")
    assert (refused.returncode, "./rpt run evaluation --profile tiny" in refused.stderr) == (2, True)
    shutil.copy(root / "params.yaml", root / "profiles" / "tiny.yaml")
    refused = rpt(root, "results", "tiny")
    assert (refused.returncode, "stale" in refused.stderr) == (3, True)
    assert not (root / KEPT / "tiny.demo.json").exists()
