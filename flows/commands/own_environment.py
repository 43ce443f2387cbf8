"""Environments beside .venv, for what cannot or should not be in it: each is made from a lock of its own,
once.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

from data_contracts.failure import Exit, Failure
from flows.workspace import ROOT, STATE

INSTALLER = ROOT / "infra" / "install.sh"


def own_python(name: str, lock: Path, size: str) -> Path:
    """The interpreter of `.venv-NAME`, made from `lock` if that has changed; `size` says what it takes on
    disk.

    Raises:
        Failure: (exit code 5) if it cannot be made.
    """
    STATE.mkdir(mode=0o700, exist_ok=True)
    with open(STATE / f"venv-{name}.lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # who comes second waits for the first, and finds it made
        return _made(ROOT / f".venv-{name}", lock, size)


def _made(environment: Path, lock: Path, size: str) -> Path:
    python, stamp = environment / "bin" / "python", environment / ".rpt-lock"
    if stamp.exists() and stamp.read_bytes() == lock.read_bytes():
        return python
    sys.stderr.write(f"Setting up {environment.name} from {lock.name} (once; {size}) ...\n")
    shutil.rmtree(environment, ignore_errors=True)
    for command in (
        [sys.executable, "-m", "venv", str(environment)],
        [str(INSTALLER), str(python), str(lock)],
    ):
        done = subprocess.run(
            command, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
        )
        if done.returncode:
            cause = " ".join(done.stderr.split())[-300:] or f"{command[0]} ended with {done.returncode}"
            raise Failure(
                f"{environment.name} could not be made",
                cause,
                "check the network and the disk, then try again",
                Exit.ENVIRONMENT,
            )
    stamp.write_bytes(lock.read_bytes())
    return python
