"""`rpt watch`: the run that goes in this workspace, whoever started it, shown as `rpt run` shows its own."""

from __future__ import annotations

import time

from data_contracts.failure import Exit
from flows.commands.outcome import outcome_lines
from flows.event_log import Follower
from flows.terminal.display import Display
from flows.terminal.output import out
from flows.workspace import holder
from reports.html.markup import visible

POLL_SECONDS = 0.3


class Watcher:
    """Shows events, and how each run ended."""

    def __init__(self, verbose: bool = False) -> None:
        self._display = Display(verbose)

    def __call__(self, event: dict) -> int | None:
        """Show one event; the exit code of the run if it ends with it."""
        self._display(event)
        if event["event"] == "failure":
            out(visible(f"error: {event['what']}\n  cause:  {event['cause']}\n  remedy: {event['remedy']}"))
            return Exit(event["code"])
        if event["event"] == "finish":
            for line in outcome_lines(event["results"]):
                out(line)
            return Exit.DONE
        return None

    def close(self) -> None:
        """Take the bar off the terminal."""
        self._display.close()


def watch(verbose: bool, served: bool) -> int:
    """Show the run that goes from its beginning to its end, and return its exit code.

    If none goes and Prefect is `served` here, the next one is waited for, else it is the last run that is
    shown.
    """
    running = holder()
    waiting = running is None and served
    if waiting:
        out("no run goes now; waiting for the next one, until Ctrl-C")
    follow, watcher = Follower(skip=waiting), Watcher(verbose)
    first = follow()
    if running:
        out(f"{running['purpose']} (process {running['pid']}), since {running['since']}")
        # else it is of the run before: this one has not planned yet
        first = first if _whose(first) == running["pid"] else []
    elif not waiting:
        out(
            "no run goes now; this is the last one"
            if first
            else "nothing has run in this workspace: ./rpt run"
        )
    try:
        return _to_its_end(first, follow, watcher, waiting)
    finally:
        watcher.close()


def _whose(events: list[dict]) -> int | None:
    return events[0].get("pid") if events else None


def _to_its_end(events: list[dict], follow: Follower, watcher: Watcher, waiting: bool) -> int:
    begun = planned = False
    while True:
        begun, planned = begun or bool(events), planned or bool(events)
        for event in events:
            if (code := watcher(event)) is not None:
                return code
        # before the log is read, so that nothing a run wrote at its end is missed
        alive = holder() is not None
        events = follow()
        begun = begun or alive
        if not events and not alive and not (waiting and not begun):
            break
        time.sleep(POLL_SECONDS)
    if planned:
        out("it was stopped before its end; the same command goes on")
    elif begun:
        out("it has ended and ran no stage")
    return Exit.INTERRUPTED if planned else Exit.DONE
