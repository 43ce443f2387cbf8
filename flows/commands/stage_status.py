"""`rpt status`: every stage with its state, its age and its size, and where the pages are. Nothing runs."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from flows.commands.pages import LABELS, RUN, page
from flows.dvc_task import StageState
from flows.plan import Step


@dataclass(frozen=True)
class StageStatus:
    """A stage: whether what it wrote is `fresh`, `stale` or `missing`, the seconds since that was put in
    place (None: it is missing), its bytes, and its rows where it is a table."""

    stage: str
    state: str
    age_seconds: float | None
    bytes: int
    rows: int | None
    outs: tuple[str, ...]


def stage_status(steps: Sequence[Step], states: Sequence[StageState], root: Path) -> list[StageStatus]:
    """The state of every step of a plan of all stages."""
    by_name = {state.name: state for state in states}
    return [_status(step, by_name[step.stage], root) for step in steps]


def _status(step: Step, state: StageState, root: Path) -> StageStatus:
    places = [root / out for out in state.outs]
    if not all(place.exists() for place in places):
        return StageStatus(step.stage, "missing", None, 0, None, state.outs)
    try:
        files = [
            file
            for place in places
            for file in (place.rglob("*") if place.is_dir() else [place])
            if file.is_file()
        ]
        age, size = (
            time.time() - max(place.stat().st_mtime for place in places),
            sum(file.stat().st_size for file in files),
        )
    except FileNotFoundError:  # a run is putting another in its place
        return StageStatus(step.stage, "missing", None, 0, None, state.outs)
    return StageStatus(
        step.stage, "stale" if step.stale else "fresh", max(0.0, age), size, _rows(places), state.outs
    )


def _rows(places: Sequence[Path]) -> int | None:
    """Rows of the first table that a stage wrote; what its manifest says wrong, `rpt verify` finds."""
    for place in places:
        try:
            return sum(
                shard["rows"]
                for shard in json.loads((place / "manifest.json").read_bytes())["shards"].values()
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return None


def pages(corpora: Sequence[str], root: Path) -> list[str]:
    """The pages that there are, from the root."""
    return [
        place.as_posix()
        for corpus in corpora
        for stage in (RUN, LABELS)
        if (root / (place := page(stage, corpus))).exists()
    ]


def as_data(rows: Sequence[StageStatus], places: Sequence[str]) -> dict[str, object]:
    """The state as it is printed with --json."""
    return {"stages": [asdict(row) for row in rows], "pages": list(places)}


def as_text(rows: Sequence[StageStatus], places: Sequence[str]) -> str:
    """A line a stage, then the pages."""
    if all(row.state == "missing" for row in rows):
        return "nothing yet; `./rpt demo` or `./rpt run` makes it"
    width = max(30, *(len(row.stage) for row in rows))
    lines = [
        f"{row.stage:<{width}}  {row.state:<7}  {_age(row.age_seconds):>10}  {_size(row):>10} "
        f" {_counted(row)}".rstrip()
        for row in rows
    ]
    counts = {state: sum(row.state == state for row in rows) for state in ("fresh", "stale", "missing")}
    said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return "\n".join(
        [
            *lines,
            "",
            f"{said}; {sum(row.bytes for row in rows) / 1e6:,.1f} MB",
            *(f"page  {place}" for place in places),
        ]
    )


def _age(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} old"
    return f"{seconds:.0f} s old"


def _size(row: StageStatus) -> str:
    return "" if row.state == "missing" else f"{row.bytes / 1e6:,.1f} MB"


def _counted(row: StageStatus) -> str:
    return "" if row.rows is None else f"{row.rows:,} rows"
