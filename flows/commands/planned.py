"""`rpt plan`: what would run and why, about how long it takes here, and how much it writes. Nothing runs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from flows.commands.bill_text import duration
from flows.durations import durations, estimate
from flows.dvc_task import StageState
from flows.plan import Step

MOST_REASONS = 4
NOT_TIMED = "?"


@dataclass(frozen=True)
class PlannedStage:
    """A stage of a plan: what changed for it, its parameters among that before and after, the seconds that it
    took when it last ran here and will about take (None: it never ran here), and the bytes that it wrote."""

    stage: str
    stale: bool
    reasons: tuple[str, ...]
    values: Mapping[str, tuple[object, object]]
    last_seconds: float | None
    seconds: float | None
    bytes: int


@dataclass(frozen=True)
class Total:
    """Of the stages that may run: how many, the seconds of those that ran here before, how many of them did
    not (`not_timed`), the bytes they wrote when they last ran, and those that are free on the disk."""

    stages: int
    seconds: float
    not_timed: int
    bytes: int
    free_bytes: int


def planned(
    steps: Sequence[Step], states: Sequence[StageState], known: Mapping[str, float] | None = None
) -> list[PlannedStage]:
    """The steps of a plan with what is known of each; `known` are seconds by stage, else those that are kept
    in `.run/`.
    """
    seconds, by_name = durations() if known is None else known, {state.name: state for state in states}
    return [_planned(step, by_name[step.stage], seconds.get(step.stage)) for step in steps]


def _planned(step: Step, state: StageState, last: float | None) -> PlannedStage:
    about = estimate(step.stage, last, state.values) if step.stale else 0.0
    return PlannedStage(step.stage, step.stale, step.reasons, state.values, last, about, state.bytes)


def total(rows: Sequence[PlannedStage], root: Path) -> Total:
    """The sum over what may run; `root` is on the disk in question."""
    stale = [row for row in rows if row.stale]
    known = [row.seconds for row in stale if row.seconds is not None]
    return Total(
        len(stale),
        sum(known),
        len(stale) - len(known),
        sum(row.bytes for row in stale),
        shutil.disk_usage(root).free,
    )


def as_data(rows: Sequence[PlannedStage], root: Path) -> dict[str, object]:
    """The plan as it is printed with --json."""
    return {"stages": [asdict(row) for row in rows], "total": asdict(total(rows, root))}


def as_text(rows: Sequence[PlannedStage], root: Path) -> str:
    """A line a stage, and the sum."""
    width, lines = max(30, *(len(row.stage) for row in rows)), []
    for row in rows:
        reasons = "; ".join(row.reasons[:MOST_REASONS]) + ("; ..." if len(row.reasons) > MOST_REASONS else "")
        about = "" if not row.stale else NOT_TIMED if row.seconds is None else duration(row.seconds)
        state = "run" if row.stale else "unchanged"
        lines.append(f"{state:<9}  {row.stage:<{width}}  {about:>8}  {reasons}".rstrip())
    return "\n".join([*lines, "", _sum(total(rows, root), len(rows))])


def _sum(found: Total, of: int) -> str:
    if not found.stages:
        return f"None of {of} stages needs to run."
    when = (
        f"about {duration(found.seconds)}, by how long each took when it last ran here"
        if found.seconds
        else "never timed here"
    )
    if found.not_timed and found.seconds:
        when += f", without {found.not_timed} that never did"
    disk = (
        f"They wrote {found.bytes / 1e6:,.1f} MB when they last ran; {found.free_bytes / 1e9:,.1f} GB are"
        " free."
    )
    return (
        f"{found.stages} of {of} stages may run: {when}. A stage whose inputs come out the same is not"
        f" run.\n{disk}"
    )
