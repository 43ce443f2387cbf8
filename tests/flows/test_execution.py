"""What becomes of a run when a stage fails, or when only a note about it does."""

import json

import pytest

from data_contracts.failure import Exit, Failure
from flows import durations, makers
from flows.dvc_task import Outcome
from flows.event_log import EventLog
from flows.execution import LocalRay, _bring_up_to_date
from flows.plan import Step
from stages.parameters import load
from tests.docs.pages import ROOT

LOST = Outcome("failed", Failure("report", "a worker is lost", "run again", Exit.STAGE_FAILED), retry=True)


class Scripted:
    """A DVC whose attempts end as they are told to; it keeps what it is asked for."""

    def __init__(self, *outcomes: Outcome):
        self.outcomes, self.asked = list(outcomes), []

    def reproduce(self, *_) -> Outcome:
        self.asked.append("reproduce")
        return self.outcomes.pop(0)

    def put_back(self, *_) -> None:
        self.asked.append("put back")


def bring(dvc, log) -> str:
    configuration = load(ROOT / "params.yaml")
    runtime = configuration.runtime.model_copy(update={"retries": 1})
    step = Step("report@demo", ("never made",))
    return _bring_up_to_date(
        step, 1, 1, dvc, LocalRay(), configuration.model_copy(update={"runtime": runtime}), log
    )


@pytest.fixture
def log(tmp_path) -> EventLog:
    return EventLog(path=tmp_path / "run" / "events.jsonl")


def test_what_was_made_before_comes_back_after_the_last_attempt_alone(log):
    unchanged, failed = Scripted(LOST, Outcome("unchanged")), Scripted(LOST, LOST)
    assert bring(unchanged, log) == "unchanged"
    with pytest.raises(Failure, match="report@demo: report"):
        bring(failed, log)
    assert unchanged.asked == ["reproduce", "reproduce"]
    assert failed.asked == ["reproduce", "reproduce", "put back"]


@pytest.mark.parametrize("module", [durations, makers])
@pytest.mark.parametrize("error", [FileExistsError("made"), UnicodeError("\xff"), KeyError("report@demo")])
def test_a_note_that_cannot_be_written_fails_no_run(module, error, log, tmp_path, monkeypatch):
    def refused(*_) -> None:
        raise error

    for notes in (durations, makers):
        monkeypatch.setattr(notes, "remember", refused if notes is module else lambda *_: None)
    assert bring(Scripted(Outcome("ran")), log) == "ran"
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    (said,) = [event["text"] for event in events if event["event"] == "line"]
    assert said == f"how report@demo ran is not noted in .run/: {error!r}"
