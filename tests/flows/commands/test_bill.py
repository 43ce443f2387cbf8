"""The bill and the budget of scoring on a tiny corpus, through the command line."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from model.gpt_neox_config import PYTHIA_1_4B
from stages.bill import calibration
from stages.bill.cost import scoring_flops
from tests.pipelines import forget, private


@pytest.fixture(scope="module")
def first_bill(project, tmp_path_factory, rpt) -> dict:
    return bill(private(project, tmp_path_factory.mktemp("fresh") / "project"), rpt, "--no-calibrate")


@pytest.fixture
def mined(finished, tmp_path) -> Path:
    """A copy of the finished pipeline as if it had ended before scoring: no labels, no scores kept, nothing
    to restore them from.
    """
    root = private(finished, tmp_path / "project", without=("ledger",))
    for name in ("labels", "exhaustive", "retrieved"):
        shutil.rmtree(root / "artifacts" / "demo" / name)
    forget(root, lambda stage: stage in ("scoring@demo", "exhaustive@demo", "retrieved@demo"))
    return root


def bill(root: Path, rpt, *options: str) -> dict:
    done = rpt(root, "plan", "scoring", "--json", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = json.loads(done.stdout)["bills"]
    assert found["stage"] == "scoring@demo"
    return found


def notes(root: Path) -> list[str]:
    events = [json.loads(line) for line in (root / ".run" / "events.jsonl").read_text().splitlines()]
    return [
        event["markdown"] for event in events if event["event"] == "note" and event["stage"] == "scoring@demo"
    ]


def test_before_anything_has_run_the_bill_is_an_estimate_and_says_so(first_bill):
    assert not first_bill["exact"]
    assert "source files" in first_bill["basis"]
    assert first_bill["pairs"]["new"] == first_bill["pairs"]["all"] > 0
    assert first_bill["here"] is None
    # Three exhaustive queries, and five of two runs that read two neighbours each, with the latest chunk
    # beside them.
    assert not any(sample["exact"] for sample in first_bill["samples"].values())
    assert first_bill["samples"]["exhaustive"]["pairs"] == {"all": 3 * 257, "known": 0, "new": 3 * 257}
    assert first_bill["samples"]["retrieved"]["pairs"] == {"all": 5 * 6, "known": 0, "new": 5 * 6}
    assert first_bill["with_samples"]["pairs"] == first_bill["pairs"]["new"] + 3 * 257 + 5 * 6
    assert first_bill["with_samples"]["flops"] > first_bill["flops"]


def test_budget_stops_and_goes_on_and_the_bill_is_what_was_scored(mined, first_bill, rpt, monkeypatch):
    asked = bill(mined, rpt)
    assert asked["exact"]
    assert asked["pairs"]["known"] == 0
    assert asked["pairs"]["all"] / 3 < first_bill["pairs"]["all"] < 3 * asked["pairs"]["all"]
    assert 0 < asked["here"]["seconds"] < asked["here"]["seconds_with_samples"]
    assert 0 < asked["here"]["measured"]["pairs"] <= asked["pairs"]["new"]
    assert set(asked["devices"]) == {"A100", "H100", "H200", "TPUv4", "TPUv5e", "TPUv5p"}

    measured = (mined / ".run" / "calibration.json").read_text()
    monkeypatch.chdir(mined)
    assert calibration.calibrate("demo") == asked["here"]["measured"], "measured once"
    assert (mined / ".run" / "calibration.json").read_text() == measured

    stopped = rpt(mined, "run", "scoring", "-o", "runtime.budget_hours=0.0")
    assert stopped.returncode == 6, stopped.stdout + stopped.stderr
    assert "stopped at its budget (0 of" in stopped.stderr
    assert not (mined / "artifacts/demo/labels").exists()

    done = rpt(mined, "run", "scoring", "exhaustive", "-o", "runtime.budget_hours=null")
    assert done.returncode == 0, done.stdout + done.stderr
    labels = pl.read_parquet(mined / "artifacts/demo/labels/*.parquet")
    assert asked["label_rows"] == len(labels)
    assert asked["pairs"]["new"] == len(labels) + labels.select("doc_id", "query_chunk").n_unique()
    assert f"from {len(labels):,} candidates" in notes(mined)[-1]
    sample = asked["samples"]["exhaustive"]
    assert sample["exact"]
    assert sample["queries"] == 3
    exhaustive = pl.read_parquet(mined / "artifacts/demo/exhaustive/*.parquet")
    assert sample["pairs"]["all"] == len(exhaustive) + 3
    after = bill(mined, rpt)
    assert after["samples"]["exhaustive"]["pairs"]["new"] == 0
    assert after["pairs"] == {"all": asked["pairs"]["all"], "known": asked["pairs"]["all"], "new": 0}


def test_the_bill_for_a_person_names_its_assumptions(finished, tmp_path, rpt):
    scored = private(finished, tmp_path / "project")
    shutil.rmtree(scored / "artifacts" / "demo" / "evaluations")
    shown = rpt(scored, "plan", "scoring", "--no-calibrate")
    assert shown.returncode == 0, shown.stderr
    assert "scoring@demo: counted in the candidates" in shown.stdout
    assert "40% of their peak" in shown.stdout
    assert "  exhaustive  0 pairs to score, " in shown.stdout
    assert "  retrieved   at most 30 pairs to score; 5 evaluated queries" in shown.stdout
    assert "scoring@demo" not in json.loads(rpt(scored, "plan", "--json").stdout).get("bills", [])


def test_the_bill_of_a_model_of_the_hub_is_for_its_own_sizes(project, rpt, tmp_path):
    root = private(project, tmp_path / "project")
    own = ("-o", "tokenization.tokenizer=EleutherAI/pythia-1.4b-deduped")
    commit = f"reference_lm.revision={'a' * 40}"
    edited = rpt(
        root, "config", "-o", "reference_lm.source=hub", "-o", commit, "-o", "geometry.chunk_tokens=64"
    )
    assert edited.returncode == 0, edited.stderr
    text = bill(root, rpt, "--no-calibrate")
    assert rpt(root, "config", *own).returncode == 0
    papers = bill(root, rpt, "--no-calibrate")
    assert papers["reference_lm"] == "EleutherAI/pythia-1.4b-deduped of the hub"
    assert papers["flops"] == scoring_flops(PYTHIA_1_4B, 64, papers["prefixes"], papers["pairs"]["new"])
    assert text["flops"] < papers["flops"]
    assert "its tokenizer is not the corpus's" in text["assumptions"][-2]
