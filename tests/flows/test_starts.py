"""A run that begins with a trained one: it follows that run in the graph, is stale when its model changes,
and is refused by hand where the two no longer fit.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from data_contracts.contract import open_artifact
from data_contracts.evaluations import EVALUATIONS
from data_contracts.failure import Exit
from tests.pipelines import environment, private

FIT, BEFORE = "demo-retro_fit", "demo-transformer_xl"
RUNS = f"{{{BEFORE}: {{corpus: demo, system: transformer_xl, input: sequences, seed: 0}}, "
RUNS += f"{FIT}: {{corpus: demo, system: retro_fit, input: starts/{BEFORE}, seed: 0}}}}"
EDITS = (
    "indexed_corpora=[demo]",
    f"starts={{{BEFORE}: {{corpus: demo, system: transformer_xl}}}}",
    f"runs={RUNS}",
    "recipes.retro_fit.cca_layers=[2]",
    "corpus_neighbours.evaluation_neighbours=3",
)
AFTERWARDS = {f"start@{BEFORE}", f"training@{FIT}", f"evaluation@{FIT}"}


def plan(root: Path, rpt, *stages: str) -> dict[str, bool]:
    """Stage -> whether it is stale."""
    rows = json.loads(rpt(root, "plan", *stages, "--json").stdout)["stages"]
    return {row["stage"]: bool(row["reasons"]) for row in rows}


@pytest.fixture
def fitted(finished, rpt, tmp_path) -> Path:
    """A copy of the finished pipeline with a run that begins with its Transformer-XL."""
    root = private(finished, tmp_path / "project")
    done = rpt(root, "config", *(part for edit in EDITS for part in ("-o", edit)))
    assert done.returncode == 0, done.stderr
    return root


def test_a_fit_follows_the_run_that_it_begins_with_which_stays_fresh(fitted, rpt):
    planned = plan(fitted, rpt, f"evaluation@{FIT}")
    assert AFTERWARDS | {"corpus_neighbours@demo"} <= {stage for stage, stale in planned.items() if stale}
    assert planned[f"training@{BEFORE}"] is False
    assert not {*plan(fitted, rpt, f"evaluation@{BEFORE}")} & AFTERWARDS
    without = rpt(fitted, "config", "-o", "starts={}")
    assert without.returncode == Exit.USAGE
    assert f"begins with '{BEFORE}', starts has []" in without.stderr


@pytest.mark.slow
def test_from_the_trained_run_to_an_evaluation_and_what_is_stale_afterwards(fitted, rpt):
    done = rpt(fitted, "run", f"evaluation@{FIT}")
    assert done.returncode == 0, done.stdout + done.stderr
    home = fitted / "artifacts/demo"
    fit, before = (load_file(home / "models" / run / "model.safetensors") for run in (FIT, BEFORE))
    assert all((fit[path] == values).all() for path, values in before.items())
    without, own = (
        open_artifact(EVALUATIONS, home / "evaluations" / run).read_all().to_pylist() for run in (FIT, BEFORE)
    )
    none = {(row["doc_id"], row["chunk"]): row["loss"] for row in without if row["setting"] == "none"}
    assert none
    found = {(row["doc_id"], row["chunk"]): row["loss"] for row in own if row["setting"] == "own"}
    assert none == pytest.approx({key: found[key] for key in none}, abs=1e-3)
    assert rpt(fitted, "verify").returncode == 0
    assert not any(plan(fitted, rpt, f"evaluation@{FIT}").values())
    assert rpt(fitted, "config", "-o", f"runs.{BEFORE}.seed=1").returncode == 0
    stale = {stage for stage, stale in plan(fitted, rpt, f"evaluation@{FIT}").items() if stale}
    assert stale == AFTERWARDS | {f"training@{BEFORE}"}
    assert rpt(fitted, "run", f"training@{BEFORE}").returncode == 0
    by_hand = [sys.executable, "-m", "stages", "training", FIT]
    refused = subprocess.run(by_hand, cwd=fitted, env=environment(fitted), text=True, capture_output=True)
    assert refused.returncode == Exit.CONTRACT
    assert f"models/{BEFORE} is missing, or other than when" in refused.stdout + refused.stderr
