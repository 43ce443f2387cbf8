"""`rpt watch` shows the run that goes, whoever started it, and ends as it does."""

import os
import threading
from functools import partial

import pytest

from data_contracts.failure import Exit, Failure
from flows import workspace
from flows.cli import app
from flows.commands import watch as module
from flows.commands.watch import watch
from flows.event_log import EventLog, Follower

STAGE = {"stage": "mining@demo", "number": 1}


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Makes a new log in a workspace of its own."""
    path = tmp_path / "events.jsonl"
    monkeypatch.setattr(workspace, "STATE", tmp_path)
    monkeypatch.setattr(module, "Follower", partial(Follower, path))
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    return partial(EventLog, path=path)


def planned(log: EventLog) -> EventLog:
    log("plan", stages=[{"stage": "mining@demo", "reasons": ["x"]}])
    log("begin", **STAGE, of=1)
    return log


def finished(log: EventLog) -> None:
    log("end", **STAGE, result="ran", seconds=2.5)
    log("finish", results={"mining@demo": "ran"})


class Run(threading.Thread):
    """Holds the workspace, and goes on only when it is told to."""

    def __init__(self, work):
        super().__init__()
        self.work, self.holds, self.go = work, threading.Event(), threading.Event()

    def run(self):
        with workspace.workspace_lock("the Prefect flow rpt"):
            self.holds.set()
            self.go.wait()
            self.work()

    def __enter__(self):
        self.start()
        self.holds.wait()
        return self

    def __exit__(self, *_):
        self.go.set()
        self.join()


def test_a_run_that_goes_is_shown_to_its_end_and_not_the_one_before(log, capsys):
    before = log()
    before("plan", stages=[])
    before("finish", results={"scoring@demo": "ran"})
    path = log.keywords["path"]
    path.write_text(path.read_text().replace(f'"pid": {os.getpid()}', '"pid": 1'))  # another process
    with Run(lambda: finished(planned(log()))) as run:
        threading.Timer(0.05, run.go.set).start()
        assert watch(verbose=False, served=False) == Exit.DONE
    said = capsys.readouterr().out
    assert said.startswith("the Prefect flow rpt (process ")
    assert "[ 1/1] mining@demo: done in 2.5 s" in said
    assert "1 of 1 stages did something. To keep this version: git add" in said
    assert "scoring@demo" not in said


def test_a_run_whose_last_event_is_there_already_has_ended_as_it_did(log, capsys):
    """It still holds the workspace: the flow has a summary to write."""
    with Run(lambda: None) as run:
        finished(planned(log()))
        assert watch(verbose=False, served=False) == Exit.DONE
        run.go.set()
    assert "mining@demo: done" in capsys.readouterr().out


def test_of_a_run_that_was_killed_before_nothing_is_shown_under_the_next(log, capsys, monkeypatch):
    planned(log())
    monkeypatch.setattr(
        "flows.commands.watch.holder",
        lambda: {"purpose": "rpt run", "pid": -1, "since": "now"} if not seen else None,
    )
    seen: list[int] = []
    threading.Timer(0.05, lambda: seen.append(1)).start()
    assert watch(verbose=False, served=False) == Exit.DONE
    said = capsys.readouterr().out
    assert "mining@demo" not in said
    assert said.endswith("it has ended and ran no stage\n")


def test_a_run_that_fails_is_told_and_its_exit_code_returned(log, capsys):
    planned(log())("failure", code=4, what="ingestion@demo", cause="too many \x1b[2J rejects", remedy="look")
    assert watch(verbose=False, served=False) == Exit.QUARANTINE
    said = capsys.readouterr().out
    assert said.startswith("no run goes now; this is the last one\n")
    assert "error: ingestion@demo\n" in said
    assert "\x1b[2J" not in said


def test_a_run_that_was_killed_has_no_end(log, capsys):
    planned(log())
    assert watch(verbose=False, served=False) == Exit.INTERRUPTED
    assert capsys.readouterr().out.endswith("it was stopped before its end; the same command goes on\n")


def test_where_nothing_ran_it_says_so(log, capsys):
    assert watch(verbose=False, served=False) == Exit.DONE
    assert capsys.readouterr().out == "nothing has run in this workspace: ./rpt run\n"


def test_where_prefect_is_served_the_next_run_is_waited_for(log, capsys):
    finished(planned(log()))
    late = threading.Timer(0.1, lambda: finished(planned(log())))
    late.start()
    assert watch(verbose=False, served=True) == Exit.DONE
    late.join()
    said = capsys.readouterr().out
    assert said.startswith("no run goes now; waiting for the next one")
    assert said.count("mining@demo: done") == 1


@pytest.mark.parametrize("options", [["--port", "0"], ["--open"], ["--page", "-v", "--port", "99999"]])
def test_options_of_the_terminal_and_of_the_page_are_told_apart(options):
    with pytest.raises(Failure, match=r"--page") as refused:
        app(["watch", *options], result_action="return_value")
    assert refused.value.code == Exit.USAGE
