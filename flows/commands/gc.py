"""`rpt gc`: half-finished work that no run will go on with by itself, what it is, how large, and why it may
go.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from data_contracts.failure import Failure
from flows.workspace import ROOT
from stages.identity.scratch import SCRATCH, changed, contents, identity_in
from stages.identity.work_identity import Identity, identity_of
from stages.parameters import Configuration
from stages.runner.stage import CORPUS_STAGES, RUN_STAGES, load_stage


def unused(configuration: Configuration) -> list[dict]:
    """A row for every scratch directory that is not of the work its stage would do now."""
    rows = []
    with contextlib.chdir(ROOT):
        for place in sorted(SCRATCH.glob("*/*")):
            stage, item = place.parent.name, place.name
            now = _identity(stage, item, configuration)
            for scratch in sorted(path for path in place.iterdir() if path.is_dir()):
                if why := _why(identity_in(scratch), now):
                    rows.append(
                        {
                            "scratch": str(scratch),
                            "what": contents(scratch),
                            "bytes": _size(scratch),
                            "why": why,
                        }
                    )
    return rows


def _identity(stage: str, item: str, configuration: Configuration) -> Identity | str:
    """The identity of what a stage would do now, or why it would do nothing."""
    known = (
        configuration.runs if stage in RUN_STAGES else configuration.corpora if stage in CORPUS_STAGES else ()
    )
    if item not in known:
        return "params.yaml and dvc.yaml have no such stage"
    try:
        return identity_of(load_stage(stage), item, configuration)
    except (Failure, OSError):
        return ""  # of what is missing nobody can say whether it will be the same


def _why(before: Identity | None, now: Identity | str) -> str:
    """Why the work of identity `before` may go; empty if it is what the stage would go on with, or may be."""
    return now if isinstance(now, str) else changed(before, now)


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
