"""What a run has done so far, folded from the events of its log one by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reports.watching.events import Begin, End, Event, Failed, Finish, Line, Log, Note, Plan, Progress

TAIL = 30  # lines of the log, and notes, that are kept
WAITING, RUNNING, UNCHANGED = "waiting", "running", "unchanged"


@dataclass
class StageRow:
    """A stage of the run.

    Attributes:
        state: `waiting`, `running`, or how it ended: ran, restored, unchanged, failed.
        reasons: why it may have to run.
        began: seconds since 1970; took: seconds, once it has ended; left: seconds, by the stage itself.
        done, total, unit, rate, detail: how far it is, how many a second, and what it says of itself.
    """

    stage: str
    reasons: Sequence[str] = ()
    state: str = WAITING
    began: float | None = None
    took: float | None = None
    left: float | None = None
    done: float = 0
    total: float = 0
    unit: str = ""
    rate: float = 0
    detail: str = ""

    @property
    def unchanged(self) -> bool:
        """Whether it has nothing to do."""
        return self.state == UNCHANGED or (self.state == WAITING and not self.reasons)

    def expected(self, usual: float | None, now: float) -> float | None:
        """Seconds that it still takes, by what it says or by how long it `usual`ly takes; None if neither is
        known.
        """
        if self.unchanged or self.state not in (WAITING, RUNNING):
            return 0.0
        if self.left is not None or usual is None:
            return self.left
        return max(0.0, usual - (0.0 if self.began is None else now - self.began))


@dataclass
class RunState:
    """The run of a log: its stages by name in their order, notes and last lines (stage, text), its failure or
    results once it has ended, and the process that it is.
    """

    pid: int | None = None
    stages: dict[str, StageRow] = field(default_factory=dict)
    notes: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=TAIL))
    lines: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=TAIL))
    failure: Failed | None = None
    results: Mapping[str, str] | None = None

    @property
    def ended(self) -> bool:
        """Whether it has said how it ended."""
        return self.failure is not None or self.results is not None

    def take(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case Plan():
                self.stages = {row.stage: StageRow(row.stage, row.reasons) for row in event.stages}
            case Begin() | Progress() | End():
                self._of_a_stage(event, self.stages.setdefault(event.stage, StageRow(event.stage)))
            case Note():
                self.notes.append((event.stage, event.markdown))
            case Line():
                self.lines.append((event.stage, event.text))
            case Failed():
                self.failure = event
            case Finish():
                self.results = event.results

    def _of_a_stage(self, event: Begin | Progress | End, row: StageRow) -> None:
        match event:
            case Begin():
                row.state, row.began = RUNNING, event.at
            case Progress():
                row.done, row.total, row.unit = event.done, event.total, event.unit
                row.rate, row.left, row.detail = event.rate, event.seconds_left, event.detail
            case End():
                row.state, row.took = event.result, event.seconds


def after(state: RunState, events: Iterable[Event]) -> RunState:
    """The run once these events have come: another one from where another log begins."""
    for event in events:
        if isinstance(event, Log):
            state = RunState(event.pid)
        state.take(event)
    return state
