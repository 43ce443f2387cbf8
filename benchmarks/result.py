"""What every benchmark prints: figures, and whether each bar holds."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass

from data_contracts.failure import Exit, Failure

QUIET_LOAD = 0.5


@dataclass(frozen=True)
class Bar:
    """A limit for one figure; `at_most` says from which side. Wall-clock bars count only on a quiet
    machine.
    """

    figure: str
    limit: float
    at_most: bool
    wall_clock: bool = False

    def holds(self, value: float, load: float) -> bool | None:
        """Whether the bar holds, or None if the machine was too busy to tell."""
        if self.wall_clock and load >= QUIET_LOAD:
            return None
        return value <= self.limit if self.at_most else value >= self.limit


def show(name: str, figures: dict[str, float], bars: list[Bar], load: float, **details: object) -> None:
    """Print one JSON object with --json, which has the details too, else a line a figure. `load` is the
    machine's at the start.
    """
    rows = [
        {"figure": bar.figure, "bar": bar.limit, "holds": bar.holds(figures[bar.figure], load)}
        for bar in bars
    ]
    result = {
        "bench": name,
        "machine": {
            "cores": os.cpu_count(),
            "system": platform.system(),
            "architecture": platform.machine(),
            "load_at_start": load,
        },
        "figures": figures,
        "bars": rows,
        **details,
    }
    if "--json" in sys.argv:
        sys.stdout.write(json.dumps(result) + "\n")
        return
    widest = max(map(len, figures))
    for figure, value in figures.items():
        sys.stdout.write(f"{figure:<{widest}}  {value:.3f}\n")
    for row in rows:
        sys.stdout.write(f"bar {row['figure']} {row['bar']}: {row['holds']}\n")


def refusing(measure: Callable[[], None]) -> int:
    """The exit code of a benchmark; a Failure is printed as the command line prints it."""
    try:
        measure()
    except Failure as failure:
        sys.stderr.write(f"error: {failure.what}\n  cause:  {failure.cause}\n  remedy: {failure.remedy}\n")
        return failure.code
    return Exit.DONE
