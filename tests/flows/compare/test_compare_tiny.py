"""`rpt compare` on six tiny documents, for real: what it runs, what it leaves alone, and what it prints."""

import json
import math
import subprocess
from pathlib import Path

import polars as pl
import pytest

from data_contracts.ceilings import MIXTURES
from tests.pipelines import private

pytestmark = pytest.mark.slow
ASKED = ("compare", "--systems", "transformer_xl", "retro", "--seeds", "0", "1")
RANDOM = "recipes.random={{cca_layers: [{layer}], neighbours: 2, gate_window: 8}}"


def results(root: Path) -> dict[str, str]:
    events = [json.loads(line) for line in (root / ".run" / "events.jsonl").read_text().splitlines()]
    return {event["stage"]: event["result"] for event in events if event["event"] == "end"}


@pytest.fixture(scope="module")
def compared(finished, rpt, tmp_path_factory):
    """A copy of the finished pipeline in which two of its systems have a second seed and were compared, and
    what was printed.
    """
    root = private(finished, tmp_path_factory.mktemp("compare") / "project")
    done = rpt(root, *ASKED)
    assert done.returncode == 0, done.stdout + done.stderr
    return root, done


def test_what_the_rows_need_was_run_and_nothing_else(compared):
    root, done = compared
    found = results(root)
    systems = ("transformer_xl", "retro")
    expected = {
        f"{stage}@demo-{system}{seed}": seed
        for stage in ("training", "evaluation")
        for system in systems
        for seed in ("", "-s1")
    }
    expected |= {f"ceilings@demo-transformer_xl{seed}": seed for seed in ("", "-s1")}
    assert {stage for stage in found if "@demo-" in stage} == {*expected}
    assert {stage for stage, result in found.items() if result == "ran"} == {
        stage for stage, seed in expected.items() if seed
    }
    assert not {stage.split("@")[0] for stage in found} & {
        "reference_lm",
        "scoring",
        "label_gates",
        "oracle",
        "report",
    }
    assert "+  demo-retro-s1: {corpus: demo, system: retro, input: supervision/bm25, seed: 1}" in done.stderr
    assert done.stderr.index("+  demo-retro-s1") < done.stderr.index("training@")
    assert "# The one configuration." in (root / "params.yaml").read_text()


def test_the_table_has_what_was_evaluated(compared):
    root, done = compared
    home = root / "comparisons" / "demo"
    assert done.stdout == (home / "table.md").read_text()
    (corpus,) = json.loads((home / "results.json").read_text())["corpora"]
    for row in corpus["rows"]:
        for run, found in zip(row["runs"], row["by_seed"], strict=True):
            rows = pl.read_parquet(root / "artifacts/demo/evaluations" / run / "*.parquet").filter(
                pl.col("setting") == row["setting"]
            )
            assert found == pytest.approx(math.exp(rows["loss"].sum() / rows["tokens"].sum()), rel=1e-5)
    assert {row["setting"] for row in corpus["ceilings"]} == {"own", *MIXTURES}
    assert {row["runs"] for row in corpus["ceilings"]} == {2}
    assert {row["system"]: len(row["by_seed"]) for row in corpus["rows"]} == {"transformer_xl": 2, "retro": 2}
    assert corpus["costs"]["retro"]["operations"] > 1 == corpus["costs"]["transformer_xl"]["operations"]
    assert corpus["costs"]["retro"]["parameters"] > corpus["costs"]["transformer_xl"]["parameters"] > 0
    assert all(run["trained"]["steps"] == 4 and run["trained"]["step_seconds"] > 0 for run in corpus["runs"])
    assert (home / "index.html").read_text().startswith("<!doctype html>")
    tracked = subprocess.run(
        ["git", "status", "--short"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    assert "comparisons" not in tracked


def test_again_nothing_is_done(compared, rpt):
    root, done = compared
    before = (root / "params.yaml").read_text()
    again = rpt(root, *ASKED)
    assert again.returncode == 0, again.stderr
    assert set(results(root).values()) == {"unchanged"}
    assert (root / "params.yaml").read_text() == before
    assert again.stdout == done.stdout


def test_without_running_it_shows_what_is_there(compared, rpt):
    root, _ = compared
    before = (root / "params.yaml").read_text()
    shown = rpt(
        root, "compare", "--systems", "transformer_xl", "random", "--no-run", "--json", "--name", "part"
    )
    assert shown.returncode == 0, shown.stderr
    (corpus,) = json.loads(shown.stdout)["corpora"]
    assert [(run["trained"]["run"], run["evaluated"]) for run in corpus["runs"]] == [
        ("demo-transformer_xl", True),
        ("demo-random", False),
    ]
    assert not any(run["stale"] for run in corpus["runs"])
    assert [row["system"] for row in corpus["rows"]] == ["transformer_xl"]
    assert (root / "params.yaml").read_text() == before
    assert (root / "comparisons" / "part" / "results.json").exists()


def test_what_a_change_has_made_stale_is_marked(compared, rpt):
    root, _ = compared
    before = (root / "params.yaml").read_text()
    assert rpt(root, "config", "-o", "training.steps=5").returncode == 0
    shown = rpt(root, "compare", "--systems", "transformer_xl", "--no-run", "--json", "--name", "old")
    (root / "params.yaml").write_text(before)
    ((run,),) = (corpus["runs"] for corpus in json.loads(shown.stdout)["corpora"])
    assert run["stale"].startswith("training@demo-transformer_xl: ")


def test_a_misspelt_system_is_a_usage_error(compared, rpt):
    refused = rpt(compared[0], "compare", "--systems", "retor")
    assert refused.returncode == 2
    assert "did you mean 'retro'?" in refused.stderr


def test_a_system_that_fails_leaves_the_others_and_is_taken_up_again(compared, rpt):
    root, _ = compared
    assert rpt(root, "config", "-o", RANDOM.format(layer=1)).returncode == 0  # a layer of the lower decoder
    asked = ("compare", "--systems", "random", "transformer_xl", "--seeds", "2", "--name", "again")
    failed = rpt(root, *asked)
    assert failed.returncode == 2, failed.stdout + failed.stderr
    assert "cca_layers" in failed.stderr
    assert results(root)["evaluation@demo-transformer_xl-s2"] == "ran"
    assert "not evaluated: demo-random-s2" in failed.stdout
    assert rpt(root, "config", "-o", RANDOM.format(layer=2)).returncode == 0
    mended = rpt(root, *asked)
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert (results(root)["training@demo-random-s2"], results(root)["training@demo-transformer_xl-s2"]) == (
        "ran",
        "unchanged",
    )
    assert "not evaluated: demo" not in mended.stdout
