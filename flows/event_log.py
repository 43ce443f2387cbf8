"""The log of the run that goes or went last, `.run/events.jsonl`: written by the run, followed by whoever
watches it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from flows.workspace import EVENTS

TIMES_ARE_OFF_BY = 0.1
"""Seconds by which `at` may be later than what a file system says of a file written at that moment: `at` is
rounded to a tenth, and a file's time is that of the kernel's last tick.
"""


class EventLog:
    """Appends events with their time, `at`, to a log that begins anew, and hands them to a listener."""

    def __init__(self, listener: Callable[[dict], None] | None = None, path: Path = EVENTS):
        path.parent.mkdir(exist_ok=True)
        # and not emptied: who follows the old one reads it to its end, and sees that another began
        path.unlink(missing_ok=True)
        # whose it is, as in the lock of the workspace
        path.write_text(json.dumps({"event": "log", "pid": os.getpid()}) + "\n")
        self._path = path
        self._listener = listener

    def __call__(self, event: str, **facts: object) -> None:
        message = {"event": event, **facts}
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps({**message, "at": round(time.time(), 1)}) + "\n")
        if self._listener:
            self._listener(message)


class Follower:
    """Reads a log as it grows, run after run."""

    def __init__(self, path: Path = EVENTS, skip: bool = False):
        """With `skip` the log that is there now is passed over."""
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""
        if skip and self._opened() and self._file:
            self._file.seek(0, 2)

    def __call__(self) -> list[dict[str, Any]]:
        """The events that were written since the last call. One that is half written is left for the next."""
        events = self._read()
        if self._opened():
            events += self._read()
        return events

    def _opened(self) -> bool:
        """Whether there is another log than the one that was read. The old one is kept open, so its number is
        not given again.
        """
        try:
            if self._file and os.path.samestat(os.stat(self._path), os.fstat(self._file.fileno())):
                return False
            file = open(self._path, "rb")  # noqa: SIM115 - closed when the next one is opened
        except FileNotFoundError:
            return False
        if self._file:
            self._file.close()
        self._file, self._rest = file, b""
        return True

    def _read(self) -> list[dict[str, Any]]:
        if not self._file:
            return []
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        return [json.loads(line) for line in lines]
