"""Ctrl-C and SIGTERM held back until the work is at a point where it can be stopped."""

from __future__ import annotations

import signal

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """In its `with` block the first signal sets `asked`, for the work to look at between steps; another
    raises KeyboardInterrupt.
    """

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Interruption:
        self._before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
