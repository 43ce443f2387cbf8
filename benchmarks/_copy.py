"""Copies of the checkout that share nothing with it but the installed packages, and what commands in them
take.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from flows.commands.fresh_copy import copy_checkout


def fresh_copy(folder: Path) -> Path:
    """A copy in `folder` in which nothing has been run, with the parameters of the demo."""
    copy = copy_checkout(folder / "rpt")
    shutil.copy(copy / "profiles" / "demo.yaml", copy / "params.yaml")
    return copy


def environment(cwd: Path) -> dict[str, str]:
    """What a user has who starts the copy; compiled modules are kept, as they are for a user."""
    return {**os.environ, "PYTHONPATH": str(cwd), "PYTHONDONTWRITEBYTECODE": ""}


def watch(
    command: list[str], cwd: Path, memory: Callable[[list[psutil.Process]], int], interval: float
) -> tuple[float, float]:
    """(seconds, peak GiB) of a successful command; `memory` gives bytes for it and all it started, every
    `interval` seconds.

    Raises:
        SystemExit: if the command fails.
    """
    began, peak = time.monotonic(), 0
    child = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, env=environment(cwd))
    root = psutil.Process(child.pid)
    while child.poll() is None:
        with contextlib.suppress(psutil.Error):
            peak = max(peak, memory([root, *root.children(recursive=True)]))
        time.sleep(interval)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} failed with exit code {child.returncode}")
    return time.monotonic() - began, peak / 2**30
