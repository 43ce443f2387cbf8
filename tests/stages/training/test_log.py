"""Speed and utilisation of a run, with a clock that the test moves."""

import io
import json

import pytest

from stages.parameters import Runtime
from stages.runner.messages import Messages
from stages.training import log as training_log
from stages.training.log import PLACE, TrainingLog, Work
from stages.training.tracker import trackers_of
from tests.stages.event_files import read_events


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch, work: Work) -> tuple[list[dict], list[dict]]:
    """Four steps of half a second each: the lines of the log and the progress that was said."""
    clock, said = [100.0], io.StringIO()
    monkeypatch.setattr(training_log.time, "monotonic", lambda: clock[0])
    trackers = trackers_of(Runtime(), "a-run", 0, PLACE)
    with TrainingLog("a-run", 0, 4, work, Messages(said, interval=0.0), trackers) as log:
        for step in range(4):
            log.step({"step": step, "lm_loss": 2.0})
            clock[0] += 0.5
    lines = PLACE / "training" / "a-run.jsonl"
    return [json.loads(line) for line in lines.read_text().splitlines()], [
        json.loads(line) for line in said.getvalue().splitlines()
    ]


def test_utilisation_is_of_the_peak(place, monkeypatch):
    lines, said = run(monkeypatch, Work(tokens=1000, flops=2e12, peak=10e12))
    assert "flops_per_second" not in lines[0], "one step has no duration yet"
    assert (lines[3]["tokens_per_second"], lines[3]["flops_per_second"], lines[3]["mfu"]) == (2000, 4e12, 0.4)
    assert lines[2]["seconds_left"] == 0.5
    assert said[-1]["detail"] == "loss 2.000, 2,000 tokens/s, 40% MFU"
    (file,) = (place / ".run/tensorboard/a-run").iterdir()
    assert dict(read_events(file)[1])[3]["mfu"] == pytest.approx(0.4)


def test_without_a_known_peak_there_is_no_utilisation(place, monkeypatch):
    lines, said = run(monkeypatch, Work(tokens=1000, flops=2e12, peak=None))
    assert lines[3]["flops_per_second"] == 4e12
    assert not any("mfu" in line for line in lines)
    assert said[-1]["detail"] == "loss 2.000, 2,000 tokens/s"
