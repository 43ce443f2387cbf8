"""Copies of the checkout that share nothing with it but the installed packages, and what commands in them take."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
# The label store too: with it a copy would not pay for its scores.
KEPT_OUT = ("artifacts", "corpora", "dvc.lock", "ledger", "metrics", "sources", ".run", ".venv*", ".work", ".dvc/cache", ".dvc/tmp")


def fresh_copy(folder: Path) -> Path:
    """A copy in `folder` in which nothing has been run, with the parameters of the demo."""
    copy = folder / "rpt"
    shutil.copytree(ROOT, copy, ignore=_kept_out)
    shutil.copy(copy / "profiles" / "demo.yaml", copy / "params.yaml")
    return copy


def _kept_out(directory: str, names: list[str]) -> list[str]:
    """What is not copied: KEPT_OUT by its place, for a package may be called like an artifact, and compiled modules."""
    place = Path(directory).relative_to(ROOT)
    return [name for name in names if name == "__pycache__" or any(fnmatch((place / name).as_posix(), kept) for kept in KEPT_OUT)]


def environment(cwd: Path) -> dict[str, str]:
    """What a user has who starts the copy; compiled modules are kept, as they are for a user."""
    return {**os.environ, "PYTHONPATH": str(cwd), "PYTHONDONTWRITEBYTECODE": ""}


def watch(command: list[str], cwd: Path, memory: Callable[[list[psutil.Process]], int], interval: float) -> tuple[float, float]:
    """(seconds, peak GiB) of a successful command; `memory` gives bytes for it and all it started, every `interval` seconds.

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
