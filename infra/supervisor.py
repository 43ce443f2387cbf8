"""`python -m infra.supervisor COMMAND ...`: a command in its own process group, which reads our standard
input and ends when that closes.

Whoever starts it holds the other end of that pipe, so the command ends with its starter even if that is
killed. DVC needs this: it ignores a SIGINT sent to it alone and on SIGTERM leaves its command running; only a
signal to the whole group stops both.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading

import psutil

from data_contracts.failure import Exit, Failure

STOP = "RPT_STOP_SECONDS"
"""The variable that says how long a command may take to stop, for instance to write a checkpoint."""
STOP_SECONDS, TERM_SECONDS, LONGEST = 15.0, 5.0, 86400.0


def stop_seconds() -> float:
    """What `STOP` says, or `STOP_SECONDS`.

    Raises:
        Failure: (exit code 2) if that is no number of seconds.
    """
    text = os.environ.get(STOP) or str(STOP_SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST:
        raise Failure(f"{STOP}={text}", "it is no number of seconds", f"give 0 to {LONGEST:.0f}", Exit.USAGE)
    return seconds


def supervised(command: list[str], **options) -> subprocess.Popen:
    """Start `command` under a supervisor: it lives until it ends, or until we close its stdin or die.

    Raises:
        Failure: as `stop_seconds` states.
    """
    stop_seconds()
    return subprocess.Popen(
        [sys.executable, "-m", "infra.supervisor", *command],
        stdin=subprocess.PIPE,
        start_new_session=True,
        **options,
    )


def release(process: subprocess.Popen, patience: float | None = None) -> int:
    """End a supervised process and everything it started; returns its exit code. A supervisor that is stuck
    is killed with what it has started after `patience`, by default somewhat more than it needs itself.
    """
    if process.stdin:
        with contextlib.suppress(OSError):
            process.stdin.close()
    try:
        return process.wait(stop_seconds() + 3 * TERM_SECONDS if patience is None else patience)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(psutil.Error):
            for one in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    one.kill()
        process.kill()
        return process.wait()


def _end(child: subprocess.Popen) -> None:
    for number, wait in (
        (signal.SIGINT, stop_seconds()),
        (signal.SIGTERM, TERM_SECONDS),
        (signal.SIGKILL, TERM_SECONDS),
    ):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(wait)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def main() -> int:
    """Run the command given as arguments; returns its exit code."""
    # Heard before there is a command, which a signal would otherwise leave behind. It also undoes an ignored
    # SIGINT, which jobs in the background inherit, and with which their children would never stop.
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: asked.set())
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, bufsize=0, start_new_session=True)

    def watch() -> None:
        assert child.stdin
        while text := os.read(0, 65536):
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(text)
        child.stdin.close()
        asked.set()

    def end() -> None:
        asked.wait()
        _end(child)

    for work in (watch, end):
        threading.Thread(target=work, daemon=True).start()
    code = child.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    return code


if __name__ == "__main__":
    sys.exit(main())
