"""Serving pages on loopback until Ctrl-C, and saying what takes long before the first of them can
be shown.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
import webbrowser
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from data_contracts.failure import Exit, Failure

SILENCE = 1.0  # seconds after which indexing says what it is doing


class Progress:
    """Says which index is being made, if that takes long; on a terminal, how far it is."""

    def __init__(self, name: str):
        self._name, self._began, self._said = name, time.monotonic(), False

    def __call__(self, done: int, total: int) -> None:
        late, terminal = time.monotonic() - self._began > SILENCE, sys.stderr.isatty()
        if terminal and late:
            sys.stderr.write(
                f"\rindexing {self._name}: {done}/{total} files" + ("\n" if done == total else "")
            )
        elif late and not self._said:
            sys.stderr.write(f"indexing {self._name}, {total} files, once\n")
        self._said = self._said or late
        sys.stderr.flush()


def serve(application: Callable[[int], ASGIApp], port: int, open_page: bool) -> int:
    """Serve what `application` makes for a port of 127.0.0.1, until SIGINT or SIGTERM; port 0 is a free one.

    Raises:
        Failure: (exit code 5) if the port is taken.
    """
    sock = _listen(port)
    address = f"http://127.0.0.1:{sock.getsockname()[1]}/"
    server = uvicorn.Server(
        uvicorn.Config(
            application(sock.getsockname()[1]),
            lifespan="off",
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.stdout.write(f"{address}\nstop with Ctrl-C\n")
    sys.stdout.flush()
    if open_page:
        webbrowser.open(address)
    with contextlib.suppress(KeyboardInterrupt):
        server.run([sock])
    sys.stdout.flush()
    os._exit(Exit.DONE)  # not held up by what a thread is still computing


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        raise Failure(
            f"port {port} of 127.0.0.1",
            str(error),
            "give another with --port, or none for a free one",
            Exit.ENVIRONMENT,
        ) from error
