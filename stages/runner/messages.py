"""How a stage speaks to whoever started it: JSON lines on standard output, nothing else.

{"event": "progress", "done": 3, "total": 24, "unit": "shards", "rate": 1.7, "seconds_left": 12} {"event":
"note", "markdown": "..."} {"event": "outcome", "code": 3, "what": "...", "cause": "...", "remedy": "...",
"retry": false}, or with code 0 alone
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from typing import TextIO

from data_contracts.failure import Exit, Failure


@dataclass
class Messages:
    """Writes the messages of one stage; progress at most every `interval` seconds."""

    stream: TextIO = field(default_factory=lambda: sys.stdout)
    interval: float = 0.5
    _started: dict[str, tuple[float, float]] = field(default_factory=dict)
    _last: float = 0.0

    def _write(self, **message: object) -> None:
        self.stream.write(json.dumps(message) + "\n")
        self.stream.flush()

    def progress(self, done: float, total: float, unit: str, detail: str = "") -> None:
        """`done` of `total` units; the rate counts from the first call for this unit, so resumed work does
        not flatter it.
        """
        now = time.monotonic()
        began, first = self._started.setdefault(unit, (now, done))
        if now - self._last < self.interval and done < total and now > began:
            return
        self._last = now
        rate = (done - first) / (now - began) if now > began else 0.0
        left = round((total - done) / rate, 1) if rate > 0 else None
        self._write(
            event="progress",
            done=done,
            total=total,
            unit=unit,
            rate=round(rate, 3),
            seconds_left=left,
            detail=detail,
        )

    def note(self, markdown: str, caution: bool = False) -> None:
        """Something a person should read, as Markdown; `caution`: a terminal shows it in yellow."""
        self._write(event="note", markdown=markdown, caution=caution)

    def outcome(self, failure: Failure | None = None, retry: bool = False) -> None:
        """The last message: how the stage ended, whatever its parent returns; `retry` if trying again may
        help.
        """
        if failure:
            said = {"what": failure.what, "cause": failure.cause, "remedy": failure.remedy}
            self._write(event="outcome", code=int(failure.code), **said, retry=retry)
        else:
            self._write(event="outcome", code=int(Exit.DONE))
