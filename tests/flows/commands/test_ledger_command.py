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


def test_a_ledger_in_a_bucket_serves_every_command(scored, rpt, gcs):
    """`config`, `ledger rebuild` and `stats`, the bill, and a scoring that finds all pairs there."""
    assert rpt(scored, "config", "-o", "runtime.ledger=gs://bucket/team/ledger").returncode == 0
    assert engines(scored, rpt) == []
    restored = rpt(scored, "ledger", "rebuild")
    assert restored.returncode == 0, restored.stderr
    (kept,) = engines(scored, rpt)
    assert f"{kept['pairs']:,} pairs added" in restored.stdout
    assert kept["bytes"] == sum(map(len, gcs.objects().values()))

    before = gcs.objects()
    changed = ("-o", "scoring.evaluation_candidates=4")
    assert rpt(scored, "config", *changed).returncode == 0
    (bill,) = json.loads(rpt(scored, "plan", "scoring", "--json", "--no-calibrate").stdout)["bills"]
    assert bill["pairs"]["known"] == bill["pairs"]["all"] > bill["pairs"]["new"] == 0
    fewer = rpt(scored, "run", "scoring", own_ray=True)
    assert fewer.returncode == 0, fewer.stdout + fewer.stderr
    assert gcs.objects() == before

    refused = rpt(scored, "config", "-o", "runtime.ledger=gs://name:secret@bucket/x")
    assert refused.returncode == 2
    assert "credentials never stand in it" in refused.stderr
    assert "secret" not in (scored / "params.yaml").read_text()


def test_rebuilding_from_nothing_says_so(scored, rpt):
    shutil.rmtree(scored / "artifacts")
    refused = rpt(scored, "ledger", "rebuild")
    assert refused.returncode == 2
    assert "dvc pull" in refused.stderr
