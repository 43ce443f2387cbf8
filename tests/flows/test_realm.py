"""REALM is trained for what `realm_corpora` names, and for nothing else; from text to a page."""

import json
from pathlib import Path

import pytest

from data_contracts.contract import open_artifact
from data_contracts.realm_answers import METHODS, REALM_ANSWERS
from tests.pipelines import private
from tests.stages.realm.tales import TALES
from tests.tiny import tiny_realm, tiny_realm_start

STAGES = {"realm_start@demo", "realm@demo", "realm_answers@demo"}
SIZES = {
    **{
        f"realm_start.{name}": value
        for name, value in tiny_realm_start(held_out=0.3, passage_chunks=3).model_dump().items()
    },
    **{f"realm.{name}": value for name, value in tiny_realm().model_dump().items()},
    "corpora.demo.validation": 0.2,
    "realm_answers.questions": 20,
    "realm_answers.bootstrap_samples": 20,
}


def planned(root: Path, rpt, *stages: str) -> set[str]:
    return {row["stage"] for row in json.loads(rpt(root, "plan", *stages, "--json").stdout)["stages"]}


def stale(root: Path, rpt) -> set[str]:
    return {
        row["stage"]
        for row in json.loads(rpt(root, "plan", "realm_answers", "--json").stdout)["stages"]
        if row["stale"]
    }


def test_it_is_planned_for_what_is_named_alone(project, tmp_path, rpt):
    root = private(project, tmp_path / "project")
    assert not planned(root, rpt) & STAGES
    assert rpt(root, "config", "-o", "realm_corpora=[demo]").returncode == 0
    needed = planned(root, rpt, "realm_answers")
    assert needed == STAGES | {
        f"{name}@demo" for name in ("ingestion", "tokenizer", "tokenization", "chunking")
    }


@pytest.mark.slow
def test_from_text_to_a_page(project, tmp_path, rpt):
    root = private(project, tmp_path / "project")
    for old in (root / "texts").iterdir():
        old.unlink()
    for name, text in TALES.items():
        (root / "texts" / f"{name}.txt").write_text(text)
    overrides = [
        part
        for key, value in {**SIZES, "realm_corpora": "[demo]"}.items()
        for part in ("-o", f"{key}={value}")
    ]
    done = rpt(root, "run", "realm_answers", *overrides)
    assert done.returncode == 0, done.stdout + done.stderr
    home = root / "artifacts" / "demo"
    rows = open_artifact(REALM_ANSWERS, home / "realm_answers").read_all().to_pylist()
    assert {row["method"] for row in rows} == set(METHODS)
    history = [json.loads(line) for line in (home / "realm" / "losses.jsonl").read_text().splitlines()]
    assert max(row["version"] for row in history) == 3
    assert "REALM: demo" in (home / "realm_report" / "index.html").read_text()
    assert rpt(root, "verify").returncode == 0
    assert rpt(root, "config", "-o", "realm.refresh=never").returncode == 0
    assert stale(root, rpt) == {"realm@demo", "realm_answers@demo"}, "the start is the same for every rule"
