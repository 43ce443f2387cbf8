"""A dense retriever is trained and swapped in for what `dense_corpora` and `swaps` name, and for nothing
else.
"""

import json
from pathlib import Path

import pytest

from data_contracts.contract import open_artifact
from data_contracts.evaluations import EVALUATIONS
from tests.pipelines import private

SWAPS = (
    "dense_corpora=[demo]",
    "swaps={demo-rpt_sem: {corpus: demo, system: rpt_sem}, demo-retro: {corpus: demo, system: retro}}",
)
DENSE = {"dense_retriever@demo", "dense_evaluation@demo-rpt_sem", "dense_evaluation@demo-retro"}


@pytest.fixture
def swapped(finished, rpt, tmp_path) -> Path:
    """A copy of the finished pipeline whose params.yaml names two swaps."""
    root = private(finished, tmp_path / "project")
    done = rpt(root, "config", *(part for swap in SWAPS for part in ("-o", swap)))
    assert done.returncode == 0, done.stderr
    return root


def planned(root: Path, rpt, *stages: str) -> set[str]:
    return {row["stage"] for row in json.loads(rpt(root, "plan", *stages, "--json").stdout)["stages"]}


def test_stages_are_planned_for_what_is_named_alone(project, swapped, tmp_path, rpt):
    assert not planned(private(project, tmp_path / "without"), rpt) & DENSE
    needed = planned(swapped, rpt, "dense_evaluation@demo-retro")
    assert needed & DENSE == {"dense_retriever@demo", "dense_evaluation@demo-retro"}
    assert "training@demo-retro" in needed
    assert "training@demo-rpt_sem" not in needed


@pytest.mark.slow
def test_a_trained_run_is_read_with_dense_neighbours(swapped, rpt):
    done = rpt(swapped, "run", "dense_evaluation@demo-retro", "evaluation@demo-retro")
    assert done.returncode == 0, done.stdout + done.stderr
    own, dense = (
        open_artifact(EVALUATIONS, swapped / "artifacts/demo" / name / "demo-retro")
        for name in ("evaluations", "dense")
    )
    rows = {
        name: [row for row in artifact.read_all().to_pylist() if row["setting"] == name]
        for name, artifact in (("own", own), ("dpr", dense))
    }
    assert len(rows["own"]) == len(rows["dpr"]) == dense.rows
    assert [row["eligible"] for row in rows["own"]] == [row["eligible"] for row in rows["dpr"]]
    assert [row["ranking"] for row in rows["own"]] != [row["ranking"] for row in rows["dpr"]]
    assert rpt(swapped, "verify").returncode == 0
