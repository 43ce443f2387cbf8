"""The checkout as a workspace: where it is, who uses it, and the environment its children get."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import psutil

from data_contracts.failure import Exit, Failure
from infra.supervisor import stop_seconds

ROOT = Path(__file__).resolve().parents[1]
STATE = ROOT / ".run"
EVENTS = STATE / "events.jsonl"
LOOK_SECONDS = 0.2
ENDING_SECONDS = 30.0  # what a run that was killed has started may take to end, at the least
_held: list[TextIO] = []

QUIET = {
    "DVC_NO_ANALYTICS": "1",
    # the default is shared by all users of the machine and holds pickles
    "DVC_SITE_CACHE_DIR": str(STATE / "dvc"),
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def child_environment(**extra: str) -> dict[str, str]:
    """Our environment for a child process: this checkout's Python and code first, telemetry off, JAX's
    compilation cache kept.
    """
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(STATE / "jax-cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**cache, **QUIET, **os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **extra}


def from_caller(path: Path) -> Path:
    """A path that a user gave, which counts from where `rpt` was called and not from the checkout."""
    return Path(os.environ.get("RPT_CALLED_FROM", "."), path)


def _lock_file() -> TextIO:
    try:
        STATE.mkdir(mode=0o700, exist_ok=True)
        return open(STATE / "lock", "a+", encoding="utf-8")
    except OSError as error:
        remedy = "make the checkout writable, or clone it to where it is"
        raise Failure(
            "this checkout cannot be written",
            f"{STATE.name}/lock: {error.strerror}",
            remedy,
            Exit.ENVIRONMENT,
        ) from error


def _said(file: TextIO) -> dict[str, Any]:
    """What the holder of the lock wrote into it; question marks if it has just begun."""
    file.seek(0)
    return {"purpose": "another run", "pid": "?", "since": "?", **json.loads(file.read() or "{}")}


def holder() -> dict[str, Any] | None:
    """Who holds the workspace now: purpose, pid and since; None if nobody does."""
    with _lock_file() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _said(file)
    return None


def lock_descriptors() -> tuple[int, ...]:
    """For supervisors to inherit: the lock of a run that was killed is held until what it started has ended,
    so that no other run works beside that.
    """
    return tuple(file.fileno() for file in _held)


def _take(file: TextIO) -> None:
    """Take the lock; for a moment it may be in the hands of someone who only looks (`holder`), and for longer
    in those of what a killed run has started.

    Raises:
        BlockingIOError: somebody has it.
    """
    began, told = time.monotonic(), False
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            alive = _is_alive(_said(file))
            patience = LOOK_SECONDS if alive else max(ENDING_SECONDS, stop_seconds())
            if time.monotonic() > began + patience:
                raise
            if not alive and not told:
                sys.stderr.write(
                    f"waiting for what the last run has started to end, {patience:.0f} s at most\n"
                )
                told = True
            time.sleep(LOOK_SECONDS / 20)


def _is_alive(said: Mapping[str, Any]) -> bool:
    """Whether the process that wrote its number into the lock lives; of none, or of one on another machine
    that shares the folder, nobody here can tell.
    """
    here = said.get("host") == platform.node()
    return not (here and isinstance(said["pid"], int)) or psutil.pid_exists(said["pid"])


@contextlib.contextmanager
def workspace_lock(purpose: str) -> Iterator[None]:
    """Hold the workspace: one run at a time, however it was started.

    Raises:
        Failure: (exit code 7) naming who holds it; (5) if nothing can be written there.
    """
    with _lock_file() as file:
        try:
            _take(file)
        except BlockingIOError:
            holder = _said(file)
            cause = f"{holder['purpose']} (process {holder['pid']}) has held it since {holder['since']}"
            if not _is_alive(holder):
                cause += "; it has ended, and what it started is still ending"
            raise Failure(
                "this workspace is in use", cause, "wait for it, or stop it and run again", Exit.LOCKED
            ) from None
        file.truncate(0)
        since = time.strftime("%H:%M:%S")
        said = {"purpose": purpose, "pid": os.getpid(), "since": since, "host": platform.node()}
        file.write(json.dumps(said))
        file.flush()
        _held.append(file)
        try:
            yield
        finally:
            _held.remove(file)  # what it says stays: what the run started may hold the lock a while yet
