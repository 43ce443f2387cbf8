"""A run that begins with a trained one follows it in the graph: what is stale when the trained model changes,
and that other runs are as fresh as before.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from data_contracts.failure import Exit
from tests.pipelines import environment, private

FIT, BEFORE = "demo-retro_fit", "demo-transformer_xl"
RUNS = f"{{{BEFORE}: {{corpus: demo, system: transformer_xl, input: sequences, seed: 0}}"
EDITS = (
    "indexed_corpora=[demo]",
    f"starts={{{BEFORE}: {{corpus: demo, system: transformer_xl}}}}",
    f"runs={RUNS}, {FIT}: {{corpus: demo, system: retro_fit, input: starts/{BEFORE}, seed: 0}}}}",
)
AFTERWARDS = {f"start@{BEFORE}", f"training@{FIT}", f"evaluation@{FIT}"}
MADE = """
from pathlib import Path
from dvc.repo import Repo

repo = Repo()
for place in (Path(out.fs_path) for stage in repo.index.stages for out in stage.outs):
    if not place.exists() and not place.suffix:
        place.mkdir(parents=True)
    files = [place] if place.suffix else [place / f"{name}.json" for name in NAMES]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        if not file.exists():
            file.write_text(place.name)
repo.commit(force=True)
"""
NAMES = ("manifest", "config", "tokenizer", "gates")


def pretend(root: Path) -> None:
    """Have DVC take everything that is not there yet for made, with files that say nothing."""
    command = [sys.executable, "-c", f"NAMES = {NAMES}{MADE}"]
    done = subprocess.run(command, cwd=root, env=environment(root), text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


def stale(root: Path, rpt, *stages: str) -> set[str]:
    """The stages that a plan would run again."""
    done = rpt(root, "plan", *stages, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return {row["stage"] for row in json.loads(done.stdout)["stages"] if row["reasons"]}


@pytest.fixture
def fitted(project, rpt, tmp_path) -> Path:
    """A project whose Transformer-XL is taken for trained, to which a run was added that begins with it."""
    root = private(project, tmp_path / "project")
    assert rpt(root, "config", "-o", f"runs={RUNS}}}").returncode == 0
    assert stale(root, rpt, f"evaluation@{BEFORE}") >= {f"training@{BEFORE}", f"evaluation@{BEFORE}"}
    pretend(root)
    done = rpt(root, "config", *(part for edit in EDITS for part in ("-o", edit)))
    assert done.returncode == 0, done.stderr
    return root


def test_a_fit_follows_the_run_that_it_begins_with(fitted, rpt):
    index = {"keys@demo", "index@demo", "corpus_neighbours@demo"}
    assert stale(fitted, rpt, f"evaluation@{FIT}") == AFTERWARDS | index, "the trained run is as it was"
    assert not stale(fitted, rpt, f"evaluation@{BEFORE}")
    pretend(fitted)
    assert not stale(fitted, rpt, f"evaluation@{FIT}")
    model = fitted / "artifacts/demo/models" / BEFORE / "config.json"
    model.write_text("trained anew")
    assert stale(fitted, rpt, f"evaluation@{FIT}") == AFTERWARDS | {f"training@{BEFORE}"}
    model.write_text(BEFORE)
    assert rpt(fitted, "config", "-o", f"runs.{BEFORE}.seed=1").returncode == 0
    assert stale(fitted, rpt, f"evaluation@{FIT}") == AFTERWARDS | {f"training@{BEFORE}"}
    without = rpt(fitted, "config", "-o", "starts={}")
    assert without.returncode == Exit.USAGE
    assert f"begins with '{BEFORE}', starts has []" in without.stderr
