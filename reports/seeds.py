"""When a difference between two systems is more than the luck of a seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, variance

FEWEST_SEEDS = 3
DEVIATIONS = 2.0


def pooled_deviation(a: Sequence[float], b: Sequence[float]) -> float:
    """The standard deviation that two samples of at least two values have in common."""
    spread = (len(a) - 1) * variance(a) + (len(b) - 1) * variance(b)
    return math.sqrt(spread / (len(a) + len(b) - 2))


def ordered(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether an order of two systems may be claimed: three seeds of each, and means more than two pooled standard deviations apart."""
    if min(len(a), len(b)) < FEWEST_SEEDS:
        return False
    return abs(mean(a) - mean(b)) > DEVIATIONS * pooled_deviation(a, b)
