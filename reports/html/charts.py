"""Charts as inline SVG: lines with a band, dots with intervals, points in a plane, bars.

Colours and type come from the classes of style.py. Coordinates are CSS pixels at `width`; a figure draws each
chart twice, wide and narrow, so that its text keeps its size on a phone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reports.html.axis import Axis, make_axis
from reports.html.formats import Number, finite, number
from reports.html.markup import Html, clipped, join, table, tag, visible

COLOURS = 6
CHARACTER = 7.0  # px, the mean advance of a wide 12 px font
NARROW = 340
TALL = 250
NAME = 14  # px, the height of a name at the end of a line
EARLY = 80  # px before the right edge
NAMED, NAMED_NARROW = 8, 6  # most points of a plane that are named


@dataclass(frozen=True)
class Line:
    """A series of (x, y); y that is None or not finite breaks the line. `band` is (x, low, high); `colour` <
    0 is grey and dashed.
    """

    name: str
    points: Sequence[tuple[float, Number]]
    colour: int
    band: Sequence[tuple[float, Number, Number]] = ()


@dataclass(frozen=True)
class Dot:
    """A value with its interval; without an interval only the dot is drawn, without a value only the name."""

    name: str
    value: Number
    low: Number
    high: Number
    colour: int
    digits: int = 2


@dataclass(frozen=True)
class Point:
    """A named point of a plane, with an upright line from `low` to `high` where these are known."""

    name: str
    x: float
    y: float
    colour: int
    low: Number = None
    high: Number = None


def _colour(index: int) -> str:
    return (
        "reference"
        if index < 0
        else f"s{index % COLOURS}" + (" dashed" if index % (2 * COLOURS) >= COLOURS else "")
    )


def _svg(width: int, height: float, title: str, *children: Html) -> Html:
    return tag(
        "svg",
        tag("title", title),
        *children,
        viewBox=f"0 0 {width} {height:g}",
        role="img",
        class_="wide" if width > NARROW else "narrow",
    )


def _text(x: float, y: float, content: str, anchor: str = "start", kind: str | None = None) -> Html:
    return tag("text", content, x=round(x, 1), y=round(y, 1), text_anchor=anchor, class_=kind)


def _rule(x1: float, y1: float, x2: float, y2: float, kind: str) -> Html:
    return tag("line", x1=round(x1, 1), y1=round(y1, 1), x2=round(x2, 1), y2=round(y2, 1), class_=kind)


def _y_axis(axis: Axis, left: float, right: float, label: str) -> list[Html]:
    marks = [
        _rule(left, axis.place(tick), right, axis.place(tick), "zero" if tick == 0 else "grid")
        for tick in axis.ticks
    ]
    words = [_text(left - 6, axis.place(tick) + 4, axis.label(tick), "end", "tick") for tick in axis.ticks]
    return [*marks, *words, _text(0, 12, label, kind="axis")]


def _runs(points: Sequence[tuple[Number, ...]]) -> list[list[tuple[float, ...]]]:
    """The points cut where a coordinate is missing."""
    runs: list[list[tuple[float, ...]]] = [[]]
    for point in points:
        if all(finite(value) for value in point):
            runs[-1].append(tuple(float(value) for value in point if value is not None))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions close to `wanted`, in the same order and within `low`..`high`, `gap` apart or, where that
    does not fit, evenly closer.
    """
    gap = min(gap, (high - low) / max(1, len(wanted) - 1))
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    placed = list(wanted)
    floor = low
    for index in order:
        placed[index] = floor = max(placed[index], floor)
        floor += gap
    ceiling = high
    for index in reversed(order):
        placed[index] = ceiling = min(placed[index], ceiling)
        ceiling -= gap
    return placed


def _line(line: Line, x: Axis, y: Axis) -> Html:
    drawn: list[Html] = []
    for band in _runs(line.band):
        edge = [(x.place(a), y.place(low)) for a, low, _ in band] + [
            (x.place(a), y.place(high)) for a, _, high in reversed(band)
        ]
        drawn.append(tag("polygon", points=" ".join(f"{a:g},{b:g}" for a, b in edge), class_="band"))
    for run in _runs(line.points):
        if len(run) == 1:
            drawn.append(tag("circle", cx=x.place(run[0][0]), cy=y.place(run[0][1]), r=2.5, class_="dot"))
        else:
            drawn.append(
                tag(
                    "polyline",
                    points=" ".join(f"{x.place(a):g},{y.place(b):g}" for a, b in run),
                    class_="line",
                )
            )
    return tag("g", *drawn, class_=_colour(line.colour))


def _ends(
    lines: Sequence[Line], names: Sequence[str], x: Axis, y: Axis, right: float, foot: float
) -> list[Html]:
    """The name of each line where it ends; of those that end at the right, behind a leader from there."""
    ended = [
        (name, line, _runs(line.points)[-1][-1])
        for name, line in zip(names, lines, strict=True)
        if _runs(line.points)
    ]
    # named where they end, or their leaders would look like data
    early = [end for end in ended if x.place(end[2][0]) < right - EARLY]
    late = [end for end in ended if end not in early]
    heights = _spread([y.place(last[1]) for _, _, last in late], NAME, 26, foot)
    beside = _spread([y.place(last[1]) for _, _, last in early], NAME, 26, foot)
    ends = [
        tag("g", _text(x.place(last[0]) + 5, height + 4, name, kind="end"), class_=_colour(line.colour))
        for (name, line, last), height in zip(early, beside, strict=True)
    ]
    for (name, line, last), height in zip(late, heights, strict=True):
        leader = _rule(x.place(last[0]), y.place(last[1]), right + 9, height, "leader")
        ends.append(
            tag("g", leader, _text(right + 12, height + 4, name, kind="end"), class_=_colour(line.colour))
        )
    return ends


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    y_label: str,
    width: int,
    zero: bool = False,
    whole: bool = True,
    reference: float | None = None,
    x_words: Callable[[float], str] | None = None,
) -> Html:
    """Lines named at their ends. `zero` makes y include 0, `whole` keeps the ticks of x on whole numbers,
    `reference` draws an upright line at that x, `x_words` writes the ticks of x."""
    longest, tall = 22 if width > NARROW else 14, max(TALL, 60 + NAME * len(lines))
    names = [clipped(visible(line.name), longest) for line in lines]
    left, right = 46, width - 14 - CHARACTER * max((len(name) for name in names), default=0) - 8
    points = [point for line in lines for run in _runs(line.points) for point in run]
    if not points:
        return _svg(width, 40, title, _text(0, 24, "Nothing finite to draw.", kind="axis"))
    bands = [
        value for line in lines for run in _runs(line.band) for _, low, high in run for value in (low, high)
    ]
    banded = [a for line in lines for run in _runs(line.band) for a, _, _ in run]
    seen = [a for a, _ in points] + banded + ([] if reference is None else [reference])
    room = 40 if x_words else 60  # words are short
    x = make_axis(seen, left, right, ticks=max(2, round((right - left) / room)), whole=whole, snap=False)
    y = make_axis([b for _, b in points] + bands + ([0.0] if zero else []), tall - 34, 26)
    below = [
        _text(x.place(tick), tall - 17, (x_words or x.label)(tick), "middle", "tick") for tick in x.ticks
    ]
    if reference is not None:
        below.append(_rule(x.place(reference), 20, x.place(reference), tall - 34, "zero"))
    drawn = [_line(line, x, y) for line in lines]
    return _svg(
        width,
        tall,
        title,
        *_y_axis(y, left, right, y_label),
        *below,
        _text(right, tall - 2, x_label, "end", "axis"),
        *drawn,
        *_ends(lines, names, x, y, right, tall - 34),
    )


def dot_chart(
    dots: Sequence[Dot],
    *,
    title: str,
    x_label: str,
    width: int,
    reference: float | None = None,
    signed: bool = False,
) -> Html:
    """One row a dot, its interval as a line, its value at the right; `reference` draws an upright line at
    that value.
    """
    longest = 26 if width > NARROW else 15
    names = [clipped(visible(dot.name), longest) for dot in dots]
    values = [number(dot.value, dot.digits, signed=signed) for dot in dots]
    left = 18 + CHARACTER * max((len(name) for name in names), default=0)
    right = width - 12 - CHARACTER * max((len(value) for value in values), default=0)
    row, foot = 26, 26 * len(dots) + 10
    x = make_axis(
        [value for dot in dots for value in (dot.value, dot.low, dot.high)] + [reference],
        left,
        right,
        ticks=4 if width > NARROW else 2,
    )
    drawn = [_rule(x.place(tick), 4, x.place(tick), foot, "grid") for tick in x.ticks]
    drawn += [_text(x.place(tick), foot + 15, x.label(tick), "middle", "tick") for tick in x.ticks]
    if reference is not None:
        drawn.append(_rule(x.place(reference), 4, x.place(reference), foot, "zero"))
    for index, (dot, name, value) in enumerate(zip(dots, names, values, strict=True)):
        y = row * index + 20
        drawn += [_text(0, y + 4, name, kind="name"), _text(width, y + 4, value, "end", "value")]
        marks = []
        if dot.low is not None and dot.high is not None and finite(dot.low) and finite(dot.high):
            marks.append(_rule(x.place(dot.low), y, x.place(dot.high), y, "interval"))
        if dot.value is not None and finite(dot.value):
            marks.append(tag("circle", cx=x.place(dot.value), cy=y, r=4.5, class_="dot"))
        drawn.append(tag("g", *marks, class_=_colour(dot.colour)))
    return _svg(
        width, foot + 36, title, *drawn, _text((left + right) / 2, foot + 33, x_label, "middle", "axis")
    )


Box = tuple[float, float, float, float]
"""Left, top, right and bottom of something drawn."""


def _touch(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _beside(
    x: float, y: float, wide: float, taken: Sequence[Box], within: tuple[float, float]
) -> tuple[float, float, str, Box]:
    """Where a name of `wide` pixels goes beside (x, y), its anchor and its box: where it touches nothing, or
    else to the right.
    """
    places: list[tuple[float, float, str]] = [(x + 8, y + 4, "start"), (x - 8, y + 4, "end")]
    places += [(x, y + shift, "middle") for shift in (-9, 18)]
    places += [
        (x + side, y + shift, anchor)
        for shift in (-8, 16, -20, 28)
        for side, anchor in ((8, "start"), (-8, "end"))
    ]
    fitting = []
    for left, base, anchor in places:
        begin = left - {"start": 0, "middle": wide / 2, "end": wide}[anchor]
        box = (begin, base - 11, begin + wide, base + 3)
        if begin >= within[0] and box[2] <= within[1]:
            fitting.append((left, base, anchor, box))
            if not any(_touch(box, other) for other in taken):
                return fitting[-1]
    return fitting[0] if fitting else (*places[0], (x, y, x + wide, y))


def scatter_chart(points: Sequence[Point], *, title: str, x_label: str, y_label: str, width: int) -> Html:
    """Points named beside themselves, or by their numbers from 1 where there are too many for names."""
    if not points:
        return _svg(width, 40, title, _text(0, 24, "Nothing to draw.", kind="axis"))
    left, right = 46.0, width - 14.0
    x = make_axis(
        [point.x for point in points], left + 14, right - 40, ticks=max(2, round((right - left) / 90))
    )
    y = make_axis([value for point in points for value in (point.y, point.low, point.high)], TALL - 34, 26)
    ticks = [_text(x.place(tick), TALL - 17, x.label(tick), "middle", "tick") for tick in x.ticks]
    drawn, names = list[Html](), list[Html]()
    taken: list[Box] = [
        (x.place(point.x) - 6, y.place(point.y) - 6, x.place(point.x) + 6, y.place(point.y) + 6)
        for point in points
    ]
    longest, most = (30, NAMED) if width > NARROW else (16, NAMED_NARROW)
    for place, point in sorted(enumerate(points, 1), key=lambda numbered: numbered[1].y):
        across, down = x.place(point.x), y.place(point.y)
        bar = []
        if finite(point.low) and finite(point.high) and point.low is not None and point.high is not None:
            bar.append(_rule(across, y.place(point.low), across, y.place(point.high), "interval"))
        drawn.append(
            tag(
                "g",
                *bar,
                tag("circle", cx=across, cy=down, r=4.5, class_="dot"),
                class_=_colour(point.colour),
            )
        )
        name = clipped(visible(point.name), longest) if len(points) <= most else str(place)
        at, base, anchor, box = _beside(across, down, CHARACTER * len(name), taken, (left, width))
        taken.append(box)
        names.append(_text(at, base, name, anchor, "name"))
    axes = [*_y_axis(y, left, right, y_label), *ticks, _text(right, TALL - 2, x_label, "end", "axis")]
    return _svg(width, TALL, title, *axes, *drawn, *names)


def bar_chart(
    bars: Sequence[tuple[str, Number]], *, title: str, x_label: str, y_label: str, width: int
) -> Html:
    """Bars from 0, a missing one marked n/a; names are thinned out where they would touch."""
    left, right, bottom = 46, width, TALL - 34
    y = make_axis([value for _, value in bars] + [0.0], bottom, 26)
    slot = (right - left) / max(1, len(bars))
    drawn = _y_axis(y, left, right, y_label)
    longest = CHARACTER * max((len(visible(name)) for name, _ in bars), default=0) + 6
    every = max(1, -(-int(longest) // max(1, int(slot))))
    for index, (name, value) in enumerate(bars):
        middle = left + slot * (index + 0.5)
        if value is None or not finite(value):
            drawn.append(_text(middle, y.place(0) - 5, "n/a", "middle", "tick"))
        else:
            top, base = sorted((y.place(value), y.place(0)))
            drawn.append(
                tag(
                    "rect",
                    x=round(middle - 0.36 * slot, 1),
                    y=top,
                    width=round(0.72 * slot, 1),
                    height=round(base - top, 1),
                    class_="bar",
                )
            )
        if index % every == 0:
            drawn.append(_text(middle, TALL - 17, clipped(visible(name), 20), "middle", "tick"))
    return _svg(width, TALL, title, *drawn, _text(right, TALL - 2, x_label, "end", "axis"))


def figure(
    draw: Callable[[int], Html],
    caption: Sequence[str],
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    width: int = 700,
) -> Html:
    """A chart in both widths, how to read it, and behind a summary the table of its numbers."""
    numbers = tag("details", tag("summary", "Numbers behind the chart"), table(head, rows))
    words = tag("figcaption", tag("p", *caption), numbers)
    return tag("figure", tag("div", join((draw(width), draw(NARROW))), class_="chart"), words)
