"""What W&B keeps of a run, read back from its file; nothing is sent."""

import struct
import sys
from pathlib import Path

import pytest
from wandb.proto.wandb_internal_pb2 import Record

from data_contracts.failure import Exit, Failure
from stages.parameters import Runtime
from stages.training.tracker import trackers_of
from stages.training.wandb_tracker import CACHE, QUIET, WandbTracker
from tests.stages.event_files import read_events

HEADER, BLOCK, WHOLE = 7, 32_768, 1


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    for name in (*QUIET, CACHE):
        monkeypatch.setenv(name, "")  # so that what the tracker sets goes with the test
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def records(path: Path) -> list[Record]:
    """The records of a file of W&B: LevelDB's log format after a header, here in one block."""
    data, at, found = path.read_bytes(), HEADER, []
    assert data.startswith(b":W&B")
    assert len(data) < BLOCK
    while at < len(data):
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        assert kind == WHOLE
        found.append(Record.FromString(data[at + 7 : at + 7 + length]))
        at += 7 + length
    return found


def test_every_tracker_is_told_each_step_and_wandb_stays_on_this_machine(tmp_path):
    trackers = trackers_of(Runtime(wandb_project="theses"), "a-run", 3, tmp_path)
    for step in (3, 4):
        for tracker in trackers:
            tracker.log(step, {"lm_loss": 1 / step})
    for tracker in trackers:
        tracker.close()
    (events,) = (tmp_path / "tensorboard" / "a-run").iterdir()
    begun, scalars = read_events(events)
    assert (begun, [step for step, _ in scalars]) == (3, [3, 4])
    (kept,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    found = records(kept)
    (run,) = (record.run for record in found if record.HasField("run"))
    assert (run.project, run.run_group, run.display_name, run.host) == (
        "theses",
        "a-run",
        "a-run from 3",
        "here",
    )
    rows = [
        {(item.key or ".".join(item.nested_key)): item.value_json for item in record.history.item}
        for record in found
        if record.HasField("history")
    ]
    assert [(float(row["step"]), float(row["lm_loss"])) for row in rows] == [(3, 1 / 3), (4, 1 / 4)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tensorboard", "wandb"]


def test_without_wandb_the_remedy_is_its_lock(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(Failure, match=r"requirements-wandb\.txt") as failure:
        WandbTracker("theses", "a-run", 0, tmp_path)
    assert failure.value.code == Exit.ENVIRONMENT
