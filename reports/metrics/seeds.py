"""What chance in training does to a figure: several runs of one system that differ in nothing but their seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import combinations
from typing import Any

FEWEST_SEEDS = 3
DEVIATIONS = 2.0


def pooled_deviation(a: Sequence[float], b: Sequence[float]) -> float:
    """The standard deviation over seeds that two systems share, of at least two runs each: variances weighted by degrees of freedom."""
    free = len(a) + len(b) - 2
    return math.sqrt(((len(a) - 1) * statistics.variance(a) + (len(b) - 1) * statistics.variance(b)) / free)


def ordered(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether one of two systems may be called better, given a figure of each run of both, a run a seed.

    It takes `FEWEST_SEEDS` runs of each and a gap between their means of more than `DEVIATIONS` pooled standard deviations. Which is the
    better one the means say. A run that diverged, whose figure is no finite number, rules a claim out.
    """
    if min(len(a), len(b)) < FEWEST_SEEDS or not all(math.isfinite(value) for value in (*a, *b)):
        return False
    return abs(statistics.fmean(a) - statistics.fmean(b)) > DEVIATIONS * pooled_deviation(a, b)


def _by_system(systems: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    """Perplexities of the runs of each system; infinite for a run that diverged."""
    found: dict[str, list[float]] = {}
    for row in systems:
        found.setdefault(row["system"], []).append(math.inf if row["perplexity"] is None else row["perplexity"])
    return found


def seed_figures(systems: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation of perplexity over the runs of each system that was trained more than once; those that diverged have none
    and do not count."""
    kept = {system: [value for value in found if math.isfinite(value)] for system, found in _by_system(systems).items()}
    return [
        {"system": system, "runs": len(found), "mean": statistics.fmean(found), "deviation": statistics.stdev(found)}
        for system, found in kept.items()
        if len(found) > 1
    ]


def orders(systems: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every pair of systems of which the `better` may be called so: the gap of their mean perplexities, and its unit, their pooled standard
    deviation over seeds."""
    found = []
    for pair in combinations(_by_system(systems).items(), 2):
        (better, low), (worse, high) = sorted(pair, key=lambda item: statistics.fmean(item[1]))
        if ordered(low, high):
            gap, deviation = statistics.fmean(high) - statistics.fmean(low), pooled_deviation(low, high)
            found.append({"better": better, "worse": worse, "gap": gap, "pooled_deviation": deviation})
    return found
