"""An axis: from values to pixels, with ticks at 1, 2 or 5 times a power of ten."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from reports.html.formats import finite


@dataclass(frozen=True)
class Axis:
    """The values `low`..`high` laid on the pixels `start`..`end` (which may run backwards, as y does), with
    increasing `ticks`.
    """

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    decimals: int

    def place(self, value: float) -> float:
        """The pixel of `value`, which must lie in `low`..`high`, rounded to a tenth."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)

    def label(self, tick: float) -> str:
        """The text of a tick: as many decimals as the step between ticks needs."""
        large = max(abs(self.low), abs(self.high)) >= 1e7 or self.decimals > 6
        return (f"{tick:.4g}" if large else f"{tick:,.{self.decimals}f}").replace("-", "\N{MINUS SIGN}")


def _step(span: float, target: int) -> float:
    raw = span / target
    power = 10.0 ** math.floor(math.log10(raw))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= raw), 10 * power)


def make_axis(
    values: Iterable[float | None],
    start: float,
    end: float,
    *,
    ticks: int = 5,
    whole: bool = False,
    snap: bool = True,
) -> Axis:
    """The axis that holds all finite `values`.

    `ticks` is about how many are wanted, `whole` keeps them on whole numbers, `snap` extends the axis to the
    ticks around the values. Values that (nearly) coincide get room on both sides.
    """
    drawn = [float(value) for value in values if value is not None and finite(value)] or [0.0, 1.0]
    low, high = min(drawn), max(drawn)
    largest = max(abs(low), abs(high))
    if high - low <= max(1e-9 * largest, 1e-100):
        room = 0.05 * largest if largest > 1e-99 else 0.5
        low, high = low - room, high + room
    step = _step(high - low, ticks)
    if whole:
        step = max(1.0, step)
    first, last = (
        (math.floor(low / step), math.ceil(high / step))
        if snap
        else (math.ceil(low / step), math.floor(high / step))
    )
    marks = tuple(index * step for index in range(first, last + 1))
    if snap:
        low, high = min(low, marks[0]), max(high, marks[-1])
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return Axis(low, high, start, end, marks, decimals)
