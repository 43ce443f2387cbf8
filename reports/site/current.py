"""Pages of what is there now: they are opened again when the artifacts that they show have changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from data_contracts.failure import Failure

Seals = tuple[tuple[str, int, int], ...]


def seals(directories: Iterable[Path]) -> Seals:
    """Path, inode and time of the manifest of each artifact that is there; it is written last and replaced
    with its artifact.
    """
    found = []
    for directory in directories:
        try:
            stat = (directory / "manifest.json").stat()
        except OSError:
            continue
        found.append((str(directory), stat.st_ino, stat.st_mtime_ns))
    return tuple(found)


class Current:
    """An application that is opened again by the first request after what it shows has changed.

    Args:
        opened: makes the application of what is there; raises Failure if something is missing, as while a
            stage makes it.
        closed: makes the one that says so, until there is something again.
        state: tells by its value whether anything changed since.

    Raises:
        Failure: as `opened` does, the first time.
    """

    def __init__(
        self, opened: Callable[[], ASGIApp], closed: Callable[[Failure], ASGIApp], state: Callable[[], Seals]
    ):
        self._opened, self._closed, self._state = opened, closed, state
        self._lock = threading.Lock()
        self._seen = state()
        self._application = opened()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        application = await run_in_threadpool(self._now)
        await application(scope, receive, send)

    def _now(self) -> ASGIApp:
        with self._lock:
            state = self._state()  # before it is opened: what changes meanwhile is seen by the next request
            if state != self._seen:
                try:
                    self._application = self._opened()
                except Failure as failure:
                    self._application = self._closed(failure)
                self._seen = state
            return self._application
