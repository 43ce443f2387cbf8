"""How what a stage says and what DVC does become one outcome."""

from pathlib import Path

import pytest

from data_contracts.failure import Exit
from flows import dvc_task, workspace
from flows.dvc_child import _changes
from flows.dvc_task import Dvc, _outcome

BUDGET = {
    "event": "outcome",
    "code": 6,
    "what": "scoring",
    "cause": "the budget is used up",
    "remedy": "run again",
    "retry": True,
}


@pytest.mark.parametrize(
    ("said", "changed", "result"),
    [({"event": "outcome", "code": 0}, True, "ran"), (None, True, "restored"), (None, False, "unchanged")],
)
def test_a_stage_that_speaks_has_run(said, changed, result):
    outcome = _outcome(said, changed, None)
    assert (outcome.result, outcome.failure, outcome.retry) == (result, None, False)


def test_a_failure_is_that_of_the_stage_whatever_dvc_says_of_it():
    outcome = _outcome(BUDGET, True, "failed to run: python -m stages scoring demo, exited with 6")
    assert (outcome.result, outcome.retry) == ("failed", True)
    failure = outcome.failure
    assert (failure.what, failure.cause, failure.remedy, failure.code) == (
        "scoring",
        "the budget is used up",
        "run again",
        Exit.BUDGET,
    )


@pytest.mark.parametrize("said", [None, {"event": "outcome", "code": 0}])
def test_without_a_failure_of_the_stage_it_is_that_of_dvc(said):
    outcome = _outcome(said, True, "output 'artifacts/demo/labels' does not exist")
    assert outcome.result == "failed"
    assert (outcome.failure.cause, outcome.failure.code) == (
        "output 'artifacts/demo/labels' does not exist",
        Exit.STAGE_FAILED,
    )


def test_dvc_says_itself_what_it_cannot_do():
    with Dvc() as dvc:
        outcome = dvc.reproduce("no_such_stage", {}, lambda message: None, lambda line: None)
        again = dvc.reproduce("no_such_stage", {}, lambda message: None, lambda line: None)
    assert "no_such_stage" in outcome.failure.cause
    assert again.failure.cause == outcome.failure.cause


def test_what_changed_is_said_with_values_where_they_are_known():
    status = [
        {
            "changed deps": {
                "params.yaml": {"scoring": "modified", "geometry": "new"},
                "artifacts/demo/chunks": "modified",
            }
        },
        {"changed outs": {"artifacts/demo/labels": "deleted"}},
        "changed command",
    ]
    assert _changes(
        status, {"scoring": {"scoring.candidates": (8, 12), "scoring.engine": ("jax", "vllm")}}
    ) == [
        "scoring.candidates 8 -> 12",
        "scoring.engine jax -> vllm",
        "geometry new",
        "artifacts/demo/chunks modified",
        "artifacts/demo/labels missing (output)",
        "changed command",
    ]


def test_what_carries_out_stages_holds_the_lock_of_the_run(tmp_path, monkeypatch):
    """Its supervisor inherits it; tests/flows/test_workspace.py has the rest."""
    monkeypatch.setattr(workspace, "STATE", tmp_path / "state")
    given: dict = {}
    monkeypatch.setattr(dvc_task, "supervised", lambda command, **options: given.update(options))
    with workspace.workspace_lock("a run"):
        Dvc()._started()
        assert [Path(f"/dev/fd/{file}").stat().st_ino for file in given["pass_fds"]] == [
            (tmp_path / "state" / "lock").stat().st_ino
        ]
