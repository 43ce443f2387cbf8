"""What chance in training does to a figure: several runs of one system that differ in nothing but their seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

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
