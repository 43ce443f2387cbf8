"""The label browser in a process of its own, as a user has it."""

from __future__ import annotations

import multiprocessing
import socket
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from flows.label_browser import browse

PATIENCE = 60.0


@contextmanager
def served(sets: Sequence[Path], index: Path) -> Iterator[str]:
    """The address of a browser of label sets, whose index is kept in `index`.

    Raises:
        OSError: if it ends or does not answer in time.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=browse, args=([str(place) for place in sets], port, False, index))
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
