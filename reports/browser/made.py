"""What is noted of the run that made an artifact; apart from its panel, which needs NumPy. Runs write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Maker:
    """The run of a stage that made an artifact.

    Attributes:
        at: when it ended, UTC. seconds: of the whole stage. commit: of the checkout, and its edits.
        versions: of the main packages. machine: its kind. progress: the last that the stage said of how far
        and how fast it was. parameters: of the stage, by their dotted names.
    """

    stage: str
    at: str
    seconds: float
    commit: str
    versions: Mapping[str, str]
    machine: str
    progress: str
    parameters: Mapping[str, str]
