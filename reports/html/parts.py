"""What the sections of the page share: headings, curves, colours of runs and cells of tables; and the
training curves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from reports.html.charts import Line, figure, line_chart
from reports.html.formats import NOT_AVAILABLE, Number, count, finite, interval, number
from reports.html.markup import Html, clipped, tag
from reports.metrics.resampling import FEWEST_DOCUMENTS, Estimate

CURVE_POINTS = 100
CURVE_ROWS = 20
NAME = 80
NOT_LOGGED = "\N{EN DASH}"
Curve = Sequence[Sequence[Number]]
Value = TypeVar("Value")


class Trained(Protocol):
    """A run that was trained: its name, and its loss by step."""

    @property
    def run(self) -> str: ...

    @property
    def curve(self) -> Curve: ...


def section(anchor: str, heading: str, *content: Html) -> Html:
    """A titled part of the page that the navigation links to."""
    return tag("section", tag("h2", heading), *content, id=anchor)


def in_split_order(values: Mapping[str, Value]) -> list[tuple[str, Value]]:
    """The items with train, validation and test first, in this order."""
    order = ("train", "validation", "test")
    return sorted(values.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order))


def empty(text: str) -> Html:
    """What stands where there is nothing to show."""
    return tag("p", text, class_="note")


def colours_of(systems: Sequence[Trained]) -> dict[str, int]:
    """The colour of each run, the same in every chart."""
    return {system.run: colour for colour, system in enumerate(systems)}


def few_documents(documents: Sequence[Number]) -> str:
    """What is to be said of intervals over so many documents, with a blank before it; nothing where each is
    enough.
    """
    known = [number for number in documents if number is not None and finite(number)]
    few = min(known, default=0) < FEWEST_DOCUMENTS
    return f" With fewer than {FEWEST_DOCUMENTS} documents the intervals are not meaningful." if few else ""


def measured(figure: Estimate | None, digits: int, *, signed: bool = False) -> str:
    """A figure with its interval; a dash where there was nothing to measure."""
    if figure is None:
        return NOT_LOGGED
    if not finite(figure.value):
        return NOT_AVAILABLE
    return (
        f"{number(figure.value, digits, signed=signed)}"
        f" {interval(figure.low, figure.high, digits, signed=signed)}"
    )


def averaged(curve: Curve, limit: int = CURVE_POINTS) -> list[tuple[float, Number]]:
    """At most `limit` points of a curve of (step, value): means over equal numbers of points; None where one
    of them is not finite.
    """
    points = [(float(step), value) for step, value in curve if step is not None and finite(step)]
    group = max(1, math.ceil(len(points) / limit))
    means: list[tuple[float, Number]] = []
    for start in range(0, len(points), group):
        part = points[start : start + group]
        values = [value for _, value in part if value is not None and finite(value)]
        middle = sum(step for step, _ in part) / len(part)
        means.append((middle, sum(values) / len(part) if len(values) == len(part) else None))
    return means


def curve_table(names: Sequence[str], curves: Sequence[Curve]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the logged values at about `CURVE_ROWS` of the steps, the first and the last among
    them.
    """
    by_step = [
        {float(step): value for step, value in curve if step is not None and finite(step)} for curve in curves
    ]
    steps = sorted(set().union(*by_step))
    stride = max(1, math.ceil((len(steps) - 1) / (CURVE_ROWS - 1)))
    chosen = steps[:-1:stride] + steps[-1:]
    rows = [
        [count(step), *(number(values[step], 3) if step in values else NOT_LOGGED for values in by_step)]
        for step in chosen
    ]
    return ["step", *names], rows


def training_curves(systems: Sequence[Trained], split: str) -> Html:
    """Training loss of every system by step; perplexities are of `split`."""
    if not any(system.curve for system in systems):
        return section("training", "Training", empty("No training losses were recorded."))
    names = [clipped(system.run, NAME) for system in systems]
    lines = [
        Line(name, averaged(system.curve), colour)
        for colour, (name, system) in enumerate(zip(names, systems, strict=True))
    ]
    caption = (
        "Training loss in nats a token. A curve that still falls at its end was stopped by the budget, not"
        " by what the system can learn; a gap is a loss that was not finite. Longer runs are drawn as at"
        f" most {CURVE_POINTS} means over neighbouring steps. RETRO's training neighbours are chosen with"
        " sight of the target, so its training loss is not comparable with the others; its perplexity on the"
        f" {clipped(split, NAME)} split is."
    )
    head, rows = curve_table(names, [system.curve for system in systems])

    def draw(width: int) -> Html:
        return line_chart(
            lines, title="Training loss by step", x_label="step", y_label="nats a token", width=width
        )

    return section("training", "Training", figure(draw, [caption], head, rows))
