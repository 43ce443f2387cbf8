"""How long nothing takes, how long help takes, and the demo from nothing with its memory.

The demo runs in a copy of the checkout that shares nothing with it but the installed packages.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.result import Bar, show

ROOT = Path(__file__).resolve().parents[1]
KEPT_OUT = shutil.ignore_patterns(".venv*", ".run", ".work", "artifacts", "cache", "tmp", "dvc.lock", "sources", "metrics", "__pycache__")
BARS = [
    Bar("noop_s", 10.0, at_most=True, wall_clock=True),
    Bar("help_s", 0.4, at_most=True, wall_clock=True),
    Bar("demo_s", 480.0, at_most=True, wall_clock=True),
    Bar("demo_peak_gib", 4.0, at_most=True),
]


def environment(cwd: Path) -> dict[str, str]:
    """What a user has who starts the copy; compiled modules are kept, as they are for a user."""
    return {**os.environ, "PYTHONPATH": str(cwd), "PYTHONDONTWRITEBYTECODE": ""}


def seconds(command: list[str], cwd: Path) -> float:
    """Wall time of one successful command."""
    began = time.monotonic()
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL, env=environment(cwd))
    return time.monotonic() - began


def memory_of_tree(root: psutil.Process) -> int:
    """Bytes of a process and all its descendants; shared pages are counted once (proportional set size)."""
    total = 0
    for process in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.Error, FileNotFoundError):
            total += process.memory_full_info().pss
    return total


def run_demo(command: list[str], cwd: Path) -> tuple[float, float]:
    """Seconds and peak GiB of the demo and everything it starts."""
    began, peak = time.monotonic(), 0
    child = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, env=environment(cwd))
    root = psutil.Process(child.pid)
    while child.poll() is None:
        with contextlib.suppress(psutil.Error):
            peak = max(peak, memory_of_tree(root))
        time.sleep(1.0)
    if child.returncode:
        raise SystemExit(f"the demo failed with exit code {child.returncode}")
    return time.monotonic() - began, peak / 2**30


def main() -> None:
    """Measure and show."""
    load = os.getloadavg()[0]
    rpt = [sys.executable, "-m", "flows.cli"]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "rpt"
        shutil.copytree(ROOT, copy, ignore=KEPT_OUT)
        demo_s, peak = run_demo([*rpt, "demo"], copy)
        figures = {
            "noop_s": statistics.median(seconds([*rpt, "run"], copy) for _ in range(3)),
            "help_s": statistics.median(seconds([*rpt, "--help"], copy) for _ in range(5)),
            "demo_s": demo_s,
            "demo_peak_gib": peak,
        }
    show("pipeline", figures, BARS, load)


if __name__ == "__main__":
    main()
