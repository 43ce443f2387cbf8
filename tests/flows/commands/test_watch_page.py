"""`rpt watch --page` looks at the run that goes: its log, the training's and the labels that are finished."""

import json
import os

import pytest

from benchmarks._label_sets import make_label_set
from flows import workspace
from flows.commands.watch_page import MOST_STEPS, Looker, training_steps
from flows.event_log import EventLog, Follower
from flows.workspace import workspace_lock

STAGES = ("scoring@demo", "training@demo-rpt_sem", "training@demo-retro")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(workspace, "STATE", tmp_path)
    (tmp_path / "params.yaml").write_bytes((workspace.ROOT / "params.yaml").read_bytes())
    return tmp_path


@pytest.fixture
def look(root):
    return Looker(root, Follower(root / "events.jsonl"))


def begin(root) -> EventLog:
    log = EventLog(path=root / "events.jsonl")
    log("plan", stages=[{"stage": stage, "reasons": ["x"]} for stage in STAGES])
    for stage in STAGES[:2]:
        log("begin", stage=stage, number=1, of=3)
    return log


def test_the_run_that_goes_is_shown_and_the_one_before_is_not(root, look):
    assert look().state.stages == {}
    begin(root)
    path = root / "events.jsonl"
    path.write_text(path.read_text().replace(f'"pid": {os.getpid()}', '"pid": 1'))
    assert look().goes is None
    assert list(look().state.stages) == list(STAGES)
    with workspace_lock("rpt run"):
        assert look().goes.startswith(f"rpt run (process {os.getpid()}), since ")
        assert look().state.stages == {}
        begin(root)
        assert look().state.stages["scoring@demo"].state == "running"
        assert look().state.stages["scoring@demo"].began > 1e9


def test_labels_that_are_finished_and_trainings_that_have_begun_are_read(root, look):
    make_label_set(root / "made", documents=4, chunks=60, candidates=6, shards=2)
    scratch = root / ".work" / "scoring" / "demo" / "0123"
    scratch.mkdir(parents=True)
    begin(root)
    assert look().labels == {}
    first, second = sorted((root / "made" / "labels").glob("part-*.parquet"))
    (scratch / first.name).write_bytes(first.read_bytes())
    half, tokens = look().labels["demo"]
    (scratch / second.name).write_bytes(second.read_bytes())
    whole, _ = look().labels["demo"]
    assert 0 < len(half) < len(whole)
    assert tokens == 64
    lines = root / ".run" / "training" / "demo-rpt_sem.jsonl"
    lines.parent.mkdir(parents=True)
    lines.write_text('{"step": 0, "lm_loss": 5.0}\n{"step": 1, "lm')
    begun = look().state.stages["training@demo-rpt_sem"].began
    # a stage may write in the moment in which it begins, whose tenth of a second was rounded up
    os.utime(lines, (begun - 0.06, begun - 0.06))
    assert look().steps == {"demo-rpt_sem": [{"step": 0, "lm_loss": 5.0}]}
    os.utime(lines, (begun - 1, begun - 1))
    assert look().steps == {"demo-rpt_sem": []}


def test_of_a_long_training_a_few_steps_are_drawn_the_last_among_them(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text("".join(json.dumps({"step": step}) + "\n" for step in range(10_001)))
    found = [row["step"] for row in training_steps(path)]
    assert (found[0], found[-1]) == (0, 10_000)
    assert len(found) <= MOST_STEPS + 1
    assert training_steps(tmp_path / "none") == []
