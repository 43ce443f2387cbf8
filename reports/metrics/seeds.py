"""What chance in training does to a figure: several runs of one system that differ in nothing but
their seed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

FEWEST_SEEDS = 3
DEVIATIONS = 2.0


@dataclass(frozen=True)
class SeedFigures:
    """Mean and standard deviation of perplexity over the `runs` of a system."""

    system: str
    runs: int
    mean: float
    deviation: float


@dataclass(frozen=True)
class Order:
    """Two systems of which the `better` may be called so: the gap of their mean perplexities, and its unit,
    their pooled standard deviation over seeds."""

    better: str
    worse: str
    gap: float
    pooled_deviation: float


Reached = Sequence[tuple[str, float | None]]
"""The system of every run with its perplexity, None if it diverged."""


def pooled_deviation(a: Sequence[float], b: Sequence[float]) -> float:
    """The standard deviation over seeds that two systems share, of at least two runs each: variances weighted
    by degrees of freedom.
    """
    free = len(a) + len(b) - 2
    return math.sqrt(((len(a) - 1) * statistics.variance(a) + (len(b) - 1) * statistics.variance(b)) / free)


def ordered(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether one of two systems may be called better, given a figure of each run of both, a run a seed.

    It takes `FEWEST_SEEDS` runs of each and a gap between their means of more than `DEVIATIONS` pooled
    standard deviations. Which is the better one the means say. A run that diverged, whose figure is no finite
    number, rules a claim out.
    """
    if min(len(a), len(b)) < FEWEST_SEEDS or not all(math.isfinite(value) for value in (*a, *b)):
        return False
    return abs(statistics.fmean(a) - statistics.fmean(b)) > DEVIATIONS * pooled_deviation(a, b)


def _by_system(reached: Reached) -> dict[str, list[float]]:
    """Perplexities of the runs of each system; infinite for a run that diverged."""
    found: dict[str, list[float]] = {}
    for system, perplexity in reached:
        found.setdefault(system, []).append(math.inf if perplexity is None else perplexity)
    return found


def seed_figures(reached: Reached) -> list[SeedFigures]:
    """Every system that was trained more than once; runs that diverged have no perplexity and do
    not count.
    """
    kept = {
        system: [value for value in found if math.isfinite(value)]
        for system, found in _by_system(reached).items()
    }
    return [
        SeedFigures(system, len(found), statistics.fmean(found), statistics.stdev(found))
        for system, found in kept.items()
        if len(found) > 1
    ]


def orders(reached: Reached) -> list[Order]:
    """Every pair of systems whose order may be claimed."""
    found = []
    for pair in combinations(_by_system(reached).items(), 2):
        (better, low), (worse, high) = sorted(pair, key=lambda item: statistics.fmean(item[1]))
        if ordered(low, high):
            gap, deviation = statistics.fmean(high) - statistics.fmean(low), pooled_deviation(low, high)
            found.append(Order(better, worse, gap, deviation))
    return found
