"""Where the figures of a run go while it is trained, beside its own log: TensorBoard's files and, if it is
asked for, Weights & Biases.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from stages.parameters import Runtime
from stages.training.event_file import EventFile


class Tracker(Protocol):
    """Something that keeps a step's figures."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Keep the figures of a step, by their names."""

    def close(self) -> None:
        """What was logged is kept; nothing comes after."""


def trackers_of(runtime: Runtime, run: str, first: int, place: Path) -> list[Tracker]:
    """The trackers of a session of `run` that begins with step `first`, in directories of `place`.

    Raises:
        Failure: as `WandbTracker` states.
    """
    trackers: list[Tracker] = [EventFile(place / "tensorboard" / run, first)]
    if runtime.wandb_project:
        from stages.training.wandb_tracker import WandbTracker

        trackers.append(WandbTracker(runtime.wandb_project, run, first, place))
    return trackers
