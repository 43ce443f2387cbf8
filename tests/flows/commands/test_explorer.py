"""`rpt explore`: which corpus a person means, figures as JSON, and a process that serves until it
is stopped.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from functools import partial

import pytest
from starlette.testclient import TestClient

from data_contracts.failure import Exit, Failure
from flows.cli import app
from flows.commands import explorer
from tests.reports.explorer.evaluated import evaluate, make_corpus


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    """A workspace with one evaluated corpus."""
    root = tmp_path_factory.mktemp("explored")
    make_corpus(
        root / "artifacts" / "small",
        {f"{name}.txt": f"{name} of many words, said again and again. " * 80 for name in "ab"},
    )
    evaluate(root / "artifacts" / "small", "small-xl", "transformer_xl")
    evaluate(root / "artifacts" / "small", "small-sem", "rpt_sem", ("own", "none"), skill=0.5)
    return root


@pytest.fixture
def workspace(artifacts, tmp_path, monkeypatch):
    shutil.copytree(artifacts, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(explorer, "ROOT", tmp_path)
    return tmp_path


def test_the_only_corpus_a_named_one_and_a_directory(workspace):
    place = workspace / "artifacts" / "small"
    assert explorer.locate(None) == explorer.locate("small") == explorer.locate(str(place)) == place


def test_a_relative_directory_counts_from_where_the_user_stands(workspace, monkeypatch):
    monkeypatch.setenv("RPT_CALLED_FROM", str(workspace / "artifacts"))
    assert explorer.locate("./small") == workspace / "artifacts" / "small"
    with pytest.raises(Failure):
        explorer.locate("artifacts/small")


@pytest.mark.parametrize("corpus", [None, "other"])
def test_a_corpus_without_evaluations_is_explained(workspace, corpus):
    shutil.rmtree(workspace / "artifacts" / "small" / "evaluations")
    with pytest.raises(Failure, match="no evaluation") as raised:
        explorer.locate(corpus)
    assert raised.value.code == Exit.USAGE
    assert "./rpt run evaluation" in raised.value.remedy


def test_one_of_several_is_asked_for(workspace):
    shutil.copytree(workspace / "artifacts" / "small", workspace / "artifacts" / "twin")
    with pytest.raises(Failure, match="which corpus") as raised:
        explorer.locate(None)
    assert "small, twin" in raised.value.cause


def test_figures(workspace):
    found = explorer.systems("small", workspace / "index")
    assert json.loads(json.dumps(found)) == found
    settings = {run["run"]: list(run["settings"]) for run in found["runs"]}
    assert settings == {"small-sem": ["own", "none"], "small-xl": ["own"]}
    assert len({one["tokens"] for run in found["runs"] for one in run["settings"].values()}) == 1


def test_the_weights_that_come_with_the_project(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(explorer, "systems", partial(explorer.systems, index=tmp_path))
    assert app(["explore", "--pretrained", "--json"], result_action="return_value") == 0
    runs = {run["run"]: run["settings"] for run in json.loads(capsys.readouterr().out)["runs"]}
    assert set(runs) == {"transformer_xl", "rpt_sem"}
    with_and_without = [runs["rpt_sem"][setting]["perplexity"] for setting in ("own", "none")]
    assert with_and_without == sorted(with_and_without)
    with pytest.raises(Failure, match="leave one of the two out"):
        app(["explore", "demo", "--pretrained"], result_action="return_value")


def test_a_tokenizer_that_cannot_be_read(workspace):
    (workspace / "artifacts" / "small" / "tokenizer" / "tokenizer.json").write_text("{")
    with pytest.raises(Failure, match="tokenizer") as raised:
        explorer.systems("small", workspace / "index")
    assert raised.value.code == Exit.CONTRACT


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped(project, artifacts, tmp_path, number):
    root = tmp_path / "project"
    shutil.copytree(project, root)
    shutil.copytree(artifacts / "artifacts" / "small", root / "artifacts" / "small")
    command = [sys.executable, "-m", "flows.cli", "explore", "small"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    process = subprocess.Popen(
        command, cwd=root, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address), process.stderr.read()
        with urllib.request.urlopen(address) as answer:
            assert b"small-sem" in answer.read()
        process.send_signal(number)
        assert process.wait(60) == Exit.DONE
        figures = subprocess.run(
            [*command, "--json"], cwd=root, env=environment, text=True, capture_output=True, check=True
        ).stdout
        assert json.loads(figures)["corpus"] == "small"
    finally:
        process.kill()
        process.wait()


def test_what_a_run_evaluates_meanwhile_is_shown_by_the_next_page(workspace, monkeypatch):
    monkeypatch.setattr(explorer, "serve", lambda application, port, open_page: application(8000))
    client = TestClient(
        explorer.explore("small", 8000, False, workspace / "index"), base_url="http://127.0.0.1:8000"
    )
    assert "small-sem" in client.get("/").text
    (workspace / "artifacts" / "small" / "evaluations" / "small-sem").rename(workspace / "away")
    assert "small-sem" not in client.get("/").text
    (workspace / "away").rename(workspace / "artifacts" / "small" / "evaluations" / "small-sem")
    assert "small-sem" in client.get("/").text
