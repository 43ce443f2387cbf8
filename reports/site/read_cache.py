"""The documents that were read last, each once, also when two pages ask for one at the same time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")
KEPT, READERS = 8, 4


class ReadCache(Generic[T]):
    """The last few values by key; what could not be read is read again when it is asked for again."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Future[T]] = OrderedDict()
        self._readers = ThreadPoolExecutor(READERS)
        self._lock = threading.Lock()

    def asked_for(self, key: str, read: Callable[[], T]) -> Future[T]:
        """The value of `key`, which `read` gives in the background if it is not one of the last few."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or (kept.done() and kept.exception()):
                self._kept[key] = self._readers.submit(read)
            self._kept.move_to_end(key)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return self._kept[key]
