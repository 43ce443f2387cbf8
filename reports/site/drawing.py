"""Scores as colours and as small drawings. A colour is a class of the style sheet: seven steps from orange
(worse) to blue (better).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from reports.html.formats import number
from reports.html.markup import Html, join, tag

SCORE_STEPS = (0.5, 2.0, 6.0)  # nats a target
TOKEN_STEPS = (0.05, 0.25, 1.0)  # nats a token
CLASSES = ("n3", "n2", "n1", "z", "p1", "p2", "p3")
UNLABELLED = "u"
SPARK_WIDTH, SPARK_HEIGHT = 144.0, 30.0
MAP_WIDTH, MAP_COLUMNS = 960.0, 240


def step(value: float | None, steps: tuple[float, float, float] = SCORE_STEPS) -> str:
    """The class of a score; None has the class of chunks without a label."""
    if value is None or not np.isfinite(value):
        return UNLABELLED
    size = sum(abs(value) >= limit for limit in steps)
    return CLASSES[3 + size if value > 0 else 3 - size]


def score(value: float | None, digits: int = 2) -> str:
    """A score as text, with its sign."""
    return number(value, digits, signed=True)


def legend(steps: tuple[float, float, float], words: str, *, unlabelled: str = "") -> Html:
    """What the colours mean; `unlabelled` is what that of chunks without a value means, if there
    can be such.
    """
    low, middle, high = (f"{limit:g}" for limit in steps)
    minus = "\N{MINUS SIGN}"
    names = (
        f"≤ {minus}{high}",
        f"{minus}{middle}",
        f"{minus}{low}",
        f"within ±{low}",
        f"+{low}",
        f"+{middle}",
        f"≥ +{high}",
    )
    shown = [
        tag("li", tag("i", class_=f"cell {kind}"), name) for kind, name in zip(CLASSES, names, strict=True)
    ]
    if unlabelled:
        shown.append(tag("li", tag("i", class_=f"cell {UNLABELLED}"), unlabelled))
    return tag("div", tag("span", words, class_="words"), tag("ul", *shown), class_="legend")


def sparkline(sparks: Sequence[float | None], top: float) -> Html:
    """Bars up and down from zero, `top` nats high at most; stretches without a query stay empty."""
    middle, width = SPARK_HEIGHT / 2, SPARK_WIDTH / len(sparks)
    strokes: dict[str, list[str]] = {"p3": [], "n3": []}
    for place, value in enumerate(sparks):
        if value is not None and np.isfinite(value):
            height = max(0.5, min(1.0, abs(value) / top) * middle)
            strokes["p3" if value > 0 else "n3"].append(
                f"M{width * (place + 0.5):.1f} {middle:g}v{-height if value > 0 else height:.1f}"
            )
    bars = [tag("path", d="".join(marks), class_=f"spark {kind}") for kind, marks in strokes.items() if marks]
    axis = tag("path", d=f"M0 {middle:g}h{SPARK_WIDTH:g}", class_="axis")
    return tag(
        "svg",
        axis,
        *bars,
        viewBox=f"0 0 {SPARK_WIDTH:g} {SPARK_HEIGHT:g}",
        class_="sparkline",
        aria_hidden="true",
    )


def bar(value: float | None, top: float) -> Html:
    """One score as a bar from the middle."""
    axis = tag("path", d="M30 0v12", class_="axis")
    if value is None or not np.isfinite(value):
        return tag("svg", axis, viewBox="0 0 60 12", class_="bar", aria_hidden="true")
    length = max(0.5, min(1.0, abs(value) / top) * 30)
    shape = tag(
        "rect",
        x=round(30 if value > 0 else 30 - length, 1),
        y=1.5,
        width=round(length, 1),
        height=9,
        class_=f"fill {step(value)}",
    )
    return tag("svg", shape, axis, viewBox="0 0 60 12", class_="bar", aria_hidden="true")


def document_map(
    values: np.ndarray,
    links: Sequence[str | None],
    marks: Sequence[tuple[int, str]],
    chosen: int | None,
    here: int,
    marked: str = "its candidates",
    pooled: Callable[[np.ndarray], float] = np.max,
) -> Html:
    """A document from left to right: the values of its chunks above, below where `marks` (chunk, class) lie,
    a pointer at chunk `here`.

    Args:
        values: of each chunk, nats; nan for those that have none.
        links: the address for each of the columns that `columns` gives.
        chosen: the chunk of the mark that is drawn larger.
        marked: what the marks are.
        pooled: one value for the chunks of a column.
    """
    count = len(values)

    def place_of(chunk: int) -> float:
        return round((chunk + 0.5) / count * MAP_WIDTH, 1)

    ticks = [
        tag(
            "rect",
            x=place_of(chunk) - (3 if chunk == chosen else 1.5),
            y=28,
            width=6 if chunk == chosen else 3,
            height=10,
            class_=f"fill {kind}{' chosen' if chunk == chosen else ''}",
        )
        for chunk, kind in sorted(marks, key=lambda mark: mark[0] == chosen)
    ]
    pointer = tag("path", d=f"M{place_of(here)} 10l-5 -9h10z", class_="pointer")
    words = (
        f"The document from its first to its last chunk. The query is chunk {here} of {count}; the marks"
        f" below are {marked}."
    )
    return tag(
        "svg",
        tag("title", words),
        *_columns(values, links, pooled),
        *ticks,
        pointer,
        viewBox=f"0 0 {MAP_WIDTH:g} 40",
        class_="map",
        preserveAspectRatio="none",
        role="img",
    )


def _columns(
    values: np.ndarray, links: Sequence[str | None], pooled: Callable[[np.ndarray], float]
) -> list[Html]:
    bounds = columns(len(values))
    width = MAP_WIDTH / (len(bounds) - 1)
    cells = []
    for place, (begin, end) in enumerate(itertools.pairwise(bounds)):
        known = values[begin:end][np.isfinite(values[begin:end])]
        kind = step(float(pooled(known)) if len(known) else None)
        cell = tag(
            "rect",
            x=round(place * width, 2),
            y=10,
            width=round(width + 0.05, 2),
            height=16,
            class_=f"fill {kind}",
        )
        address = links[place]
        cells.append(tag("a", cell, href=address, tabindex=-1) if address else cell)
    return cells


def columns(count: int) -> list[int]:
    """First chunk of each column of a map, and the number of chunks."""
    return [int(bound) for bound in np.linspace(0, count, min(count, MAP_COLUMNS) + 1).round()]


def dotted(parts: Sequence[str]) -> Html:
    """Facts in a line, with dots between them."""
    separated: list[str] = []
    for part in parts:
        separated += [" · ", part] if separated else [part]
    return join(separated)
