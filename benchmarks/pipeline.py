"""How long nothing takes, how long help takes, and the demo from nothing with its memory.

The demo runs in a copy of the checkout that shares nothing with it but the installed packages.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks._copy import environment, fresh_copy, watch
from benchmarks.result import Bar, show

BARS = [
    Bar("noop_s", 10.0, at_most=True, wall_clock=True),
    Bar("help_s", 0.4, at_most=True, wall_clock=True),
    Bar("demo_s", 480.0, at_most=True, wall_clock=True),
    Bar("demo_peak_gib", 4.0, at_most=True),
]


def seconds(command: list[str], cwd: Path) -> float:
    """Wall time of one successful command."""
    began = time.monotonic()
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL, env=environment(cwd))
    return time.monotonic() - began


def shared_memory(processes: list[psutil.Process]) -> int:
    """Bytes of some processes together; pages that they share are counted once (proportional set size)."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error, FileNotFoundError):
            total += process.memory_full_info().pss
    return total


def main() -> None:
    """Measure and show."""
    load = os.getloadavg()[0]
    rpt = [sys.executable, "-m", "flows.cli"]
    with tempfile.TemporaryDirectory() as folder:
        copy = fresh_copy(Path(folder))
        demo_s, peak = watch([*rpt, "demo"], copy, shared_memory, 1.0)
        figures = {
            "noop_s": statistics.median(seconds([*rpt, "run"], copy) for _ in range(3)),
            "help_s": statistics.median(seconds([*rpt, "--help"], copy) for _ in range(5)),
            "demo_s": demo_s,
            "demo_peak_gib": peak,
        }
    show("pipeline", figures, BARS, load)


if __name__ == "__main__":
    main()
