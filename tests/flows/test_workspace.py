"""One run at a time holds the workspace."""

import json
import platform
import subprocess

import pytest

from data_contracts.failure import Exit, Failure
from flows import workspace
from flows.cli import app
from flows.commands.look import looked
from flows.workspace import lock_descriptors, workspace_lock


def test_a_second_holder_is_refused_until_the_first_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(workspace, "STATE", tmp_path / "state")
    for purpose in ("the first run", "the second run"):
        with workspace_lock(purpose):
            with pytest.raises(Failure, match=purpose) as failure, workspace_lock("another"):
                pass
            assert failure.value.code == Exit.LOCKED


def test_a_checkout_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way of a directory")
    monkeypatch.setattr(workspace, "STATE", tmp_path / "file" / "state")
    with pytest.raises(Failure, match="cannot be written") as failure, workspace_lock("a run"):
        pass
    assert failure.value.code == Exit.ENVIRONMENT


def test_after_a_kill_the_workspace_is_held_until_what_the_run_started_has_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(workspace, "STATE", tmp_path / "state")
    assert lock_descriptors() == ()
    with workspace_lock("the first run"):
        # the child inherits the lock, as a supervisor does, and has it when its starter is gone
        child = subprocess.Popen(["sleep", "60"], pass_fds=lock_descriptors())
    dead = subprocess.Popen(["true"])
    dead.wait()
    said = {"purpose": "the first run", "pid": dead.pid, "since": "now", "host": platform.node()}
    (tmp_path / "state" / "lock").write_text(json.dumps(said))
    with monkeypatch.context() as impatient:
        impatient.setattr(workspace, "ENDING_SECONDS", 0.1)
        impatient.setenv("RPT_STOP_SECONDS", "0.1")
        with pytest.raises(Failure, match="it has ended, and what it started is still ending") as failure:
            workspace_lock("another").__enter__()
    assert failure.value.code == Exit.LOCKED
    elsewhere = said | {"host": "another-machine"}
    (tmp_path / "state" / "lock").write_text(json.dumps(elsewhere))
    with pytest.raises(Failure, match=r"the first run \(process \d+\) has held it since now \|"):
        workspace_lock("another").__enter__()
    child.kill()
    child.wait()
    with workspace_lock("another"):
        assert len(lock_descriptors()) == 1


def test_while_a_run_goes_nobody_waits_for_its_locks_to_hear_what_is_stale(tmp_path, monkeypatch):
    monkeypatch.setattr(workspace, "STATE", tmp_path)
    with workspace_lock("rpt demo"), pytest.raises(Failure, match=r"rpt demo .*\./rpt watch") as failure:
        looked([])
    assert failure.value.code == Exit.LOCKED


def test_a_checkpoint_is_named_from_where_the_command_was_given(tmp_path, monkeypatch):
    monkeypatch.setattr(workspace, "STATE", tmp_path)
    monkeypatch.setenv("RPT_CALLED_FROM", "/elsewhere")
    with pytest.raises(Failure, match="--from-checkpoint /elsewhere/kept"):
        app(["run", "--from-checkpoint", "kept", "training@demo-rpt_sem"], result_action="return_value")
