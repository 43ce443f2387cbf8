"""Shows the events of a run as they come: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

LINE_SECONDS = 10.0
LINES_ON_FAILURE = 15
MARKS = {"ran": "done", "restored": "restored from the cache", "unchanged": "unchanged", "failed": "FAILED"}


def clock(seconds: float | None) -> str:
    """`1:05`; nothing for None."""
    return "" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def progress_figures(event: dict) -> str:
    """How far a stage is, how fast, how long it will take, and what it says of itself, such as its loss."""
    figures = f"{event['done']:g}/{event['total']:g} {event['unit']}"
    if event["rate"]:
        figures += f", {event['rate']:.3g}/s"
    if event["seconds_left"] is not None:
        figures += f", {clock(event['seconds_left'])} left"
    return figures + (f", {event['detail']}" if event["detail"] else "")


class Display:
    """A listener for events; `verbose` shows the log lines of stages too."""

    def __init__(self, verbose: bool = False, stream=None):
        # another stream than standard output decides for itself, whatever FORCE_COLOR says
        terminal = stream.isatty() if stream else None
        self._console = Console(
            file=stream or sys.stdout, force_terminal=terminal, highlight=False, soft_wrap=True
        )
        self._verbose = verbose
        self._bar: Progress | None = None
        self._stages = 0
        self._last = 0.0
        self._lines: deque[str] = deque(maxlen=LINES_ON_FAILURE)
        self.results: dict[str, str] = {}

    def __call__(self, event: dict) -> None:
        """Show one event; unknown ones are ignored, so that an older display can read a newer log."""
        handler = getattr(self, f"_on_{event['event']}", None)
        if handler:
            handler(event)

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(escape(text), style=style)

    def _on_plan(self, event: dict) -> None:
        self.results = {}
        self._stages = len(event["stages"])
        stale = [row for row in event["stages"] if row["reasons"]]
        self._say(
            f"{self._stages} stages, {len(stale)} to look at"
            if stale
            else f"{self._stages} stages, nothing to do"
        )

    def _on_begin(self, event: dict) -> None:
        self._last = time.monotonic()
        self._lines.clear()
        title = f"[{event['number']:>2}/{event['of']}] {event['stage']}"
        if not self._console.is_terminal:
            self._say(f"{title} ...")
            return
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            console=self._console,
            transient=True,
        )
        self._bar.add_task(escape(title), total=None, figures="starting")
        self._bar.start()

    def _on_progress(self, event: dict) -> None:
        figures = progress_figures(event)
        if self._bar:
            self._bar.update(
                self._bar.task_ids[0], completed=event["done"], total=event["total"], figures=escape(figures)
            )
        elif time.monotonic() - self._last >= LINE_SECONDS:
            self._last = time.monotonic()
            self._say(f"        {figures}")

    def _on_note(self, event: dict) -> None:
        style = "yellow" if event.get("caution") else "dim"
        self._say(f"        {event['markdown'].replace('**', '')}", style)

    def _on_line(self, event: dict) -> None:
        self._lines.append(event["text"])
        if self._verbose:
            self._say(f"        {event['text']}", "dim")

    def _on_end(self, event: dict) -> None:
        self.close()
        self.results[event["stage"]] = event["result"]
        if event["result"] != "unchanged" or event["seconds"]:
            style = "red" if event["result"] == "failed" else "green"
            number = f"[{event['number']:>2}/{self._stages}]"
            self._say(
                f"{number} {event['stage']}: {MARKS[event['result']]} in {event['seconds']:.1f} s", style
            )
        if event["result"] == "failed" and not self._verbose:
            for line in self._lines:
                self._say(f"        {line}", "dim")
