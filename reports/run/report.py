"""What the report of a corpus and its runs holds: all of report.json (docs/report.schema.json), of which
page, tables and metrics are made.

Perplexities are of the evaluated split, gains and losses in nats a token, rates shares of 1. None stands
where there was nothing to measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reports.labels.report import LabelSection
from reports.metrics.ceilings import Ceiling
from reports.metrics.corpus_figures import CorpusFigures
from reports.metrics.run_figures import RunFigures, RunPerplexity

Version = Literal[2]
VERSION: Version = 2
"""Of the form of report.json; a change of a name or of a meaning makes both one more."""

Curve = Sequence[tuple[float | None, float | None]]
"""(step, loss in nats a token)."""


@dataclass(frozen=True)
class System(RunPerplexity):
    """A run, evaluated, with what is known of its training: parameters, whether it had what the paper has
    not, and its loss by step.
    """

    parameters: int | None
    copying: bool
    lexical_start: bool
    curve: Curve


@dataclass(frozen=True)
class Evaluated:
    """Which split was evaluated, and at how many tokens so many of its documents were cut."""

    split: str
    max_tokens_per_document: int
    documents_cut: int


@dataclass(frozen=True)
class ReferenceModel:
    """The reference LM and how it was trained; of one from the hub only its size is known."""

    parameters: int
    steps: float | None
    loss_first: float | None
    loss_last: float | None
    curve: Curve


@dataclass(frozen=True)
class RunReport(RunFigures):
    """The whole report; `artifacts` has a path and what lies there."""

    version: Version
    corpus: str
    small_scale: bool
    evaluation: Evaluated
    headline: Sequence[str]
    warnings: Sequence[str]
    data: CorpusFigures
    reference_lm: ReferenceModel
    labels: LabelSection
    systems: Sequence[System]
    ceilings: Sequence[Ceiling]
    artifacts: Sequence[tuple[str, str]]
