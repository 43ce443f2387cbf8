"""`rpt ledger` and `scoring.engine: auto` on a private copy of the project, run for real."""

import json
import shutil

import pytest

from stages.parameters import load


@pytest.fixture(scope="module")
def scored(project, rpt, tmp_path_factory):
    root = tmp_path_factory.mktemp("ledger") / "project"
    shutil.copytree(project, root)
    done = rpt(root, "run", "scoring", "-o", "scoring.engine=auto")
    assert done.returncode == 0, done.stdout + done.stderr
    return root, done.stderr


def engines(root, rpt) -> list[dict]:
    done = rpt(root, "ledger", "stats", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["engines"]


def test_auto_is_decided_before_the_run_said_aloud_and_written_down(scored, rpt):
    root, said = scored
    assert "scoring.engine: auto is jax here, because" in said
    assert load(root / "params.yaml").scoring.engine == "jax"
    plan = json.loads(rpt(root, "plan", "scoring", "--json").stdout)
    assert not any(stage["stale"] for stage in plan["stages"])


def test_a_lost_ledger_comes_back_from_labels_in_another_place_and_the_next_scoring_adds_nothing(scored, rpt, tmp_path):
    root, _ = scored
    (before,) = engines(root, rpt)
    assert (before["scorer"]["engine"], before["scorer"]["chunk_tokens"], before["corrupt"]) == ("jax", 16, [])
    shutil.rmtree(root / "ledger")
    assert engines(root, rpt) == []
    assert "nothing yet" in rpt(root, "ledger", "stats").stdout

    assert rpt(root, "config", "-o", f"runtime.ledger={tmp_path / 'shared'}").returncode == 0
    plan = json.loads(rpt(root, "plan", "scoring", "--json").stdout)
    assert not any(stage["stale"] for stage in plan["stages"])
    restored = rpt(root, "ledger", "rebuild")
    assert restored.returncode == 0, restored.stderr
    assert f"{before['pairs']:,} pairs added" in restored.stdout
    (after,) = engines(root, rpt)
    assert (after["digest"], after["scorer"], after["pairs"]) == (before["digest"], before["scorer"], before["pairs"])

    fewer = rpt(root, "run", "scoring", "-o", "scoring.evaluation_candidates=4")
    assert fewer.returncode == 0, fewer.stdout + fewer.stderr
    assert engines(root, rpt) == [after]
    assert not (root / "ledger").exists()
    assert f"{before['pairs']:,} pairs" in rpt(root, "ledger", "stats").stdout


def test_rebuilding_from_nothing_says_so(scored, rpt):
    root, _ = scored
    (root / "artifacts").rename(root / "elsewhere")
    refused = rpt(root, "ledger", "rebuild")
    (root / "elsewhere").rename(root / "artifacts")
    assert refused.returncode == 2
    assert "dvc pull" in refused.stderr
