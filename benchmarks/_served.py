"""A browser of pages in a process of its own, as a user has it."""

from __future__ import annotations

import multiprocessing
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from flows.labels.browser import browse

PATIENCE = 60.0


def served(sets: Sequence[Path], index: Path) -> AbstractContextManager[str]:
    """The address of a browser of label sets, whose index is kept in `index`."""
    return serving(browse, [str(place) for place in sets], index=index)


@contextmanager
def serving(browse: Callable[..., int], what: object, index: Path) -> Iterator[str]:
    """The address of what `browse(what, port, open_page, index)` serves.

    Raises:
        OSError: if it ends or does not answer in time.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=browse, args=(what, port, False, index))
    process.start()
    try:
        address = f"http://127.0.0.1:{port}"
        _until_it_answers(address, process)
        yield address
    finally:
        process.terminate()
        process.join()


def _until_it_answers(address: str, process: BaseProcess) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"{address}/help"):
                return
        except OSError:
            if time.monotonic() > deadline or not process.is_alive():
                raise
            time.sleep(0.1)
