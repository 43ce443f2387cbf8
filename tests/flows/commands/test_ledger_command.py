"""`rpt ledger` and `scoring.engine: auto` on a private copy of the project, run for real."""

import json
import shutil

import polars as pl
import pytest

from stages.parameters import load
from tests.pipelines import private


@pytest.fixture
def scored(finished, tmp_path):
    return private(finished, tmp_path / "project")


def engines(root, rpt) -> list[dict]:
    done = rpt(root, "ledger", "stats", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["engines"]


def test_auto_is_decided_before_the_run_said_aloud_and_written_down(scored, rpt):
    plan = json.loads(rpt(scored, "plan", "scoring", "--json").stdout)
    assert not any(stage["stale"] for stage in plan["stages"])
    assert rpt(scored, "config", "-o", "scoring.engine=auto").returncode == 0
    done = rpt(scored, "run", "scoring")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "scoring.engine: auto is jax here, because" in done.stderr
    assert load(scored / "params.yaml").scoring.engine == "jax"
    plan = json.loads(rpt(scored, "plan", "scoring", "--json").stdout)
    assert not any(stage["stale"] for stage in plan["stages"])


def test_a_lost_ledger_comes_back_from_labels_in_another_place_and_the_next_scoring_adds_nothing(
    scored, rpt, tmp_path
):
    root = scored
    labels = pl.read_parquet(root / "artifacts/demo/labels/*.parquet", columns=["doc_id", "query_chunk"])
    pairs = len(labels) + labels.n_unique()  # with the local one of every query
    (before,) = engines(root, rpt)
    assert (before["scorer"]["engine"], before["scorer"]["chunk_tokens"], before["corrupt"]) == (
        "jax",
        16,
        [],
    )
    shutil.rmtree(root / "ledger")
    assert engines(root, rpt) == []
    assert "nothing yet" in rpt(root, "ledger", "stats").stdout

    assert rpt(root, "config", "-o", f"runtime.ledger={tmp_path / 'shared'}").returncode == 0
    plan = json.loads(rpt(root, "plan", "scoring", "--json").stdout)
    assert not any(stage["stale"] for stage in plan["stages"])
    restored = rpt(root, "ledger", "rebuild")
    assert restored.returncode == 0, restored.stderr
    assert f"{pairs:,} pairs added" in restored.stdout
    (after,) = engines(root, rpt)
    assert (after["digest"], after["scorer"], after["pairs"]) == (before["digest"], before["scorer"], pairs)

    fewer = rpt(root, "run", "scoring", "-o", "scoring.evaluation_candidates=4")
    assert fewer.returncode == 0, fewer.stdout + fewer.stderr
    assert engines(root, rpt) == [after]
    assert not (root / "ledger").exists()
    assert f"{pairs:,} pairs" in rpt(root, "ledger", "stats").stdout


def test_rebuilding_from_nothing_says_so(scored, rpt):
    shutil.rmtree(scored / "artifacts")
    refused = rpt(scored, "ledger", "rebuild")
    assert refused.returncode == 2
    assert "dvc pull" in refused.stderr
