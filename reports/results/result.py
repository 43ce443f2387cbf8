"""The figures of a corpus as they are kept: fields are in the order of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.metrics.resampling import Estimate


@dataclass(frozen=True)
class OverSeeds(Estimate):
    """A mean over seeds, its interval that of the documents; its `deviation` over them, None of a single one;
    and the figure of each.
    """

    deviation: float | None
    by_seed: Sequence[float | None]


@dataclass(frozen=True)
class SystemFigures:
    """Perplexity of a system, and its gains in nats a token; None where there is nothing to compare with."""

    perplexity: OverSeeds
    over_transformer_xl: OverSeeds | None
    over_random: OverSeeds | None
    without_neighbours: OverSeeds | None


@dataclass(frozen=True)
class SystemRow:
    """A system over its seeds, on all tokens and on those with an eligible neighbour."""

    system: str
    seeds: Sequence[int]
    all: SystemFigures
    with_neighbours: SystemFigures


@dataclass(frozen=True)
class SizedRow(SystemRow):
    """The same with the number of its parameters."""

    parameters: int


@dataclass(frozen=True)
class Order:
    """Two systems, the lower mean perplexity first: the `gap`, in pooled `deviations` where there are several
    seeds, and whether that is enough for an order.
    """

    better: str
    worse: str
    gap: float
    deviations: float | None
    claimed: bool


@dataclass(frozen=True)
class Figures:
    """What the evaluations of a corpus give; `tokens` and `orders` by place."""

    documents: int
    tokens: Mapping[str, int]
    tokens_sha256: str
    rows: Sequence[SystemRow]
    orders: Mapping[str, Sequence[Order]]


@dataclass(frozen=True)
class TrainingSize:
    """What the recipe says of size and updates, the same for all runs; `tokens` are those of all updates."""

    layers: int
    width: int
    heads: int
    copying: bool
    lexical_start: bool
    steps: int
    tokens: int
    sequence_tokens: int
    vocabulary: int


@dataclass(frozen=True)
class GateVerdict:
    """Whether a gate of the labels passed."""

    name: str
    passed: bool


@dataclass(frozen=True)
class Result:
    """All that is kept of a corpus: where it comes from, how it was trained, and its figures."""

    corpus: str
    profile: str
    source: str
    training: TrainingSize
    gates: Sequence[GateVerdict]
    documents: int
    tokens: Mapping[str, int]
    tokens_sha256: str
    rows: Sequence[SizedRow]
    orders: Mapping[str, Sequence[Order]]
