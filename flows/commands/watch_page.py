"""`rpt watch --page`: the page of the run that goes, on loopback until Ctrl-C."""

from __future__ import annotations

import contextlib
import copy
import json
import threading
import time
from functools import lru_cache
from pathlib import Path

import polars as pl

from flows.commands.page_server import serve
from flows.durations import durations
from flows.event_log import TIMES_ARE_OFF_BY, Follower
from flows.workspace import ROOT, holder
from reports.watching.events import known
from reports.watching.page import Steps, Watched
from reports.watching.run_state import RUNNING, RunState, after
from reports.watching.server import watching
from stages.identity.scratch import SCRATCH
from stages.parameters import load
from stages.scoring.monitor import sample
from stages.training.log import PLACE

COMPUTED = (RUNNING, "ran", "failed")  # states of a stage that has worked in this run
MOST_STEPS = 400  # of a training, that are drawn


def watch_page(port: int, open_page: bool) -> int:
    """Serve the page of the run that goes or went last, and of those that follow.

    Raises:
        Failure: (exit code 5) if the port is taken.
    """
    return serve(lambda own_port: watching(Looker(), own_port), port, open_page)


class Looker:
    """Looks at the run each time it is called; requests come from several threads."""

    def __init__(self, root: Path = ROOT, follow: Follower | None = None) -> None:
        self._root, self._follow = root, follow or Follower()
        self._state, self._lock = RunState(), threading.Lock()

    def __call__(self) -> Watched:
        """The run as it is now."""
        with self._lock:
            running = holder()  # before the log is read, so that nothing a run wrote at its end is missed
            self._state = after(self._state, known(self._follow()))
            now = copy.deepcopy(self._state)  # another request may take the next events in meanwhile
        if running is None:
            goes, state = None, now
        else:
            goes = f"{running['purpose']} (process {running['pid']}), since {running['since']}"
            # else the log is of the run before: this one has not planned yet
            state = now if running["pid"] == now.pid else RunState()
        return Watched(state, goes, durations(), self._steps(state), self._labels(state), time.time())

    def _steps(self, state: RunState) -> dict[str, Steps]:
        """Rows of the log of each training that runs or has run in this run; none from before it began."""
        found = {}
        for row in state.stages.values():
            stage, _, name = row.stage.partition("@")
            if stage == "training" and row.state in COMPUTED:
                log = self._root / PLACE / "training" / f"{name}.jsonl"
                began = (row.began or 0.0) - TIMES_ARE_OFF_BY
                written = log.exists() and log.stat().st_mtime >= began
                found[name] = training_steps(log) if written else []
        return found

    def _labels(self, state: RunState) -> dict[str, tuple[pl.DataFrame, int]]:
        """The finished labels of each corpus that is being scored."""
        found = {}
        for row in state.stages.values():
            stage, _, corpus = row.stage.partition("@")
            if stage == "scoring" and row.state == RUNNING:
                # the newest is of this run; others are work that was set aside
                places = sorted((self._root / SCRATCH / stage / corpus).glob("*/"), key=_changed)
                if finished := sorted(places[-1].glob("part-*.parquet")) if places else []:
                    tokens = load(self._root / "params.yaml").geometry.chunk_tokens
                    with contextlib.suppress(
                        FileNotFoundError
                    ):  # the stage has ended and moved them meanwhile
                        found[corpus] = (_sample(tuple(finished)), tokens)
        return found


def _changed(place: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return place.stat().st_mtime
    return 0.0


@lru_cache(maxsize=4)
def _sample(finished: tuple[Path, ...]) -> pl.DataFrame:
    return sample(list(finished))


def training_steps(path: Path) -> Steps:
    """At most `MOST_STEPS` rows of a training log, the first and the last among them."""
    lines = path.read_text().splitlines() if path.exists() else []
    whole = lines[:-1] if lines and not lines[-1].endswith("}") else lines  # the last may be half written
    stride = max(1, -(-len(whole) // MOST_STEPS))
    return [json.loads(line) for line in [*whole[:-1:stride], *whole[-1:]]]
