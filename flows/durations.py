"""How long each stage took when it last ran on this machine, and from that about how long it will take; kept
in `.run/`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from numbers import Real
from pathlib import Path

from data_contracts.whole_files import write_atomically
from flows.parameter_changes import Change
from flows.workspace import STATE

PLACE = STATE / "durations.json"
PROPORTIONAL = {
    "reference_lm": ("reference_lm.tokens",),
    "scoring": ("scoring.candidates",),
    "training": ("training.steps", "training.batch"),
}
"""Parameters that a stage takes longer by, as they grow."""


def durations(path: Path = PLACE) -> dict[str, float]:
    """Seconds by stage; none of a stage that never ran here. A file that cannot be read is as none."""
    try:
        return {stage: float(seconds) for stage, seconds in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def remember(stage: str, seconds: float, path: Path = PLACE) -> None:
    """Keep how long a stage that ran has taken."""
    write_atomically(path, json.dumps({**durations(path), stage: round(seconds, 1)}, indent=1).encode())


def estimate(stage: str, last: float | None, values: Mapping[str, Change]) -> float | None:
    """Seconds that a stage will take: as many as last time, times the growth of what it is proportional to;
    None if it never ran here.
    """
    if last is None:
        return None
    for name in PROPORTIONAL.get(stage.split("@")[0], ()):
        before, after = values.get(name, (None, None))
        if isinstance(before, Real) and isinstance(after, Real) and before:
            last *= float(after) / float(before)
    return last
