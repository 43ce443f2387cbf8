"""Every mark of a chart lies inside it, whatever the numbers."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.html.charts import (
    NAMED,
    NAMED_NARROW,
    Dot,
    Line,
    Point,
    _spread,
    bar_chart,
    dot_chart,
    figure,
    line_chart,
    scatter_chart,
)

WIDTHS = [340, 550, 700]
NUMBERS = st.one_of(st.none(), st.floats(), st.floats(-20, 20))
NAMES = st.text(st.characters(categories=None), max_size=40)
SCALARS = {"x", "y", "x1", "x2", "y1", "y2", "cx", "cy"}


def coordinates(svg: str) -> list[tuple[str, float]]:
    """Every (axis, position) drawn."""
    found: list[tuple[str, float]] = []
    for element in ElementTree.fromstring(svg).iter():
        found += [
            (("x", "y")["y" in key], float(value)) for key, value in element.attrib.items() if key in SCALARS
        ]
        for point in element.get("points", "").split():
            found += zip("xy", map(float, point.split(",")), strict=True)
        if element.tag == "rect":
            found.append(("x", float(element.attrib["x"]) + float(element.attrib["width"])))
            found.append(("y", float(element.attrib["y"]) + float(element.attrib["height"])))
            assert min(float(element.attrib["width"]), float(element.attrib["height"])) >= 0
    return found


def assert_inside(svg: str) -> None:
    _, _, width, height = map(float, ElementTree.fromstring(svg).attrib["viewBox"].split())
    for axis, position in coordinates(svg):
        assert 0 <= position <= (width if axis == "x" else height), (axis, position, width, height)
    assert not re.search(r'="[^"]*\b(nan|inf)\b', svg, re.IGNORECASE)


@pytest.mark.parametrize("width", WIDTHS)
@settings(max_examples=60)
@given(
    lines=st.lists(
        st.tuples(NAMES, st.lists(st.tuples(st.integers(0, 10**6), NUMBERS, NUMBERS, NUMBERS), max_size=6)),
        max_size=18,
    )
)
def test_line_chart(width, lines):
    series = [
        Line(name, [(x, y) for x, y, _, _ in p], i, [(x, a, b) for x, _, a, b in p])
        for i, (name, p) in enumerate(lines)
    ]
    assert_inside(line_chart(series, title="t", x_label="x", y_label="y", width=width, zero=True))
    assert_inside(
        line_chart(series, title="t", x_label="x", y_label="y", width=width, whole=False, reference=-3.5)
    )


def test_a_line_that_ends_early_is_named_where_it_ends():
    lines = [Line(name, [(x, 1.0) for x in range(end)], 0) for name, end in (("short", 8), ("long", 20))]
    svg = line_chart(lines, title="t", x_label="x", y_label="y", width=550)
    texts = {element.text: element for element in ElementTree.fromstring(svg).iter("text")}
    assert float(texts["short"].attrib["x"]) < 300 < float(texts["long"].attrib["x"])


def test_ticks_of_x_are_written_as_asked():
    svg = line_chart(
        [Line("a", [(0, 1.0), (4, 2.0)], 0)],
        title="t",
        x_label="x",
        y_label="y",
        width=550,
        x_words=lambda tick: f"2^{tick:g}",
    )
    assert {"2^0", "2^2", "2^4"} <= {element.text for element in ElementTree.fromstring(svg).iter("text")}


def test_the_reference_is_an_upright_line_at_its_place():
    svg = line_chart(
        [Line("a", [(-1, 1.0), (1, 2.0)], 0)],
        title="t",
        x_label="x",
        y_label="y",
        width=550,
        whole=False,
        reference=0.0,
    )
    line = next(
        element for element in ElementTree.fromstring(svg).iter("line") if element.get("class") == "zero"
    )
    points = next(
        element.attrib["points"]
        for element in ElementTree.fromstring(svg).iter()
        if "points" in element.attrib
    )
    left, right = (float(point.split(",")[0]) for point in points.split())
    assert float(line.attrib["x1"]) == float(line.attrib["x2"]) == pytest.approx((left + right) / 2, abs=0.1)


@pytest.mark.parametrize("width", WIDTHS)
@settings(max_examples=60)
@given(
    rows=st.lists(st.tuples(NAMES, NUMBERS, NUMBERS, NUMBERS), max_size=12),
    reference=st.sampled_from([None, 0.0]),
)
def test_dot_chart(width, rows, reference):
    dots = [Dot(*row, colour) for colour, row in enumerate(rows)]
    assert_inside(dot_chart(dots, title="t", x_label="x", width=width, reference=reference))


@pytest.mark.parametrize("width", WIDTHS)
@settings(max_examples=60)
@given(bars=st.lists(st.tuples(NAMES, NUMBERS), max_size=30))
def test_bar_chart(width, bars):
    assert_inside(bar_chart(bars, title="t", x_label="x", y_label="y", width=width))


@pytest.mark.parametrize("width", WIDTHS)
@settings(max_examples=60)
@given(rows=st.lists(st.tuples(NAMES, st.floats(-20, 20), st.floats(-20, 20), NUMBERS, NUMBERS), max_size=20))
def test_scatter_chart(width, rows):
    points = [Point(name, x, y, colour, low, high) for colour, (name, x, y, low, high) in enumerate(rows)]
    assert_inside(scatter_chart(points, title="t", x_label="x", y_label="y", width=width))


@pytest.mark.parametrize("width", WIDTHS)
def test_names_of_close_points_stand_apart(width):
    points = [
        Point(f"name {number}", 1.0 + 0.01 * number, 3.0 - 0.01 * number, number) for number in range(3)
    ]
    points.append(Point("far", 2.0, 9.0, 3))
    svg = scatter_chart(points, title="t", x_label="x", y_label="y", width=width)
    found = [
        element for element in ElementTree.fromstring(svg).iter("text") if element.get("class") == "name"
    ]
    boxes = []
    for element in found:
        wide, x, y = 7.0 * len(element.text or ""), float(element.attrib["x"]), float(element.attrib["y"])
        left = x - {"start": 0, "middle": wide / 2, "end": wide}[element.attrib["text-anchor"]]
        boxes.append((left, y - 11, left + wide, y + 3))
    assert len(boxes) == 4
    assert not [
        (a, b)
        for a in boxes
        for b in boxes
        if a < b and a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
    ]


@pytest.mark.parametrize(("width", "most"), [(340, NAMED_NARROW), (700, NAMED)])
def test_points_are_named_by_numbers_where_they_are_many(width, most):
    for count, expected in (
        (most, [f"p{number}" for number in range(most)]),
        (most + 1, [str(number + 1) for number in range(most + 1)]),
    ):
        points = [Point(f"p{number}", number % 4, -number, number) for number in range(count)]
        svg = ElementTree.fromstring(scatter_chart(points, title="t", x_label="x", y_label="y", width=width))
        assert sorted(e.text or "" for e in svg.iter("text") if e.get("class") == "name") == sorted(expected)


def test_a_line_is_broken_where_a_value_is_missing():
    line = Line("a", [(1, 1.0), (2, 2.0), (3, math.nan), (4, 4.0), (5, None), (6, 5.0), (7, 6.0)], 0)
    svg = line_chart([line], title="t", x_label="x", y_label="y", width=700)
    assert svg.count("<polyline") == 2
    assert svg.count("<circle") == 1


def test_a_higher_value_is_drawn_higher():
    svg = line_chart(
        [Line("a", [(1, 1.0), (2, 5.0), (3, 3.0)], 0)], title="t", x_label="x", y_label="y", width=700
    )
    points = [
        tuple(map(float, pair.split(",")))
        for pair in re.search(r'<polyline points="([^"]+)"', svg)[1].split()
    ]  # type: ignore[index]
    heights = [y for _, y in points]
    assert heights[1] < heights[2] < heights[0]


def test_ticks_run_along_the_axis():
    svg = dot_chart([Dot("a", 22.0, 20.0, 25.0, 0)], title="t", x_label="x", width=700)
    ticks = [
        (float(x), float(label))
        for x, label in re.findall(r'<text x="([\d.]+)"[^>]* class="tick">([\d.]+)<', svg)
    ]
    assert len(ticks) >= 3
    assert all(left[0] < right[0] and left[1] < right[1] for left, right in pairwise(ticks))


def test_a_dot_lies_on_its_interval_and_a_missing_one_is_named_only():
    svg = dot_chart(
        [Dot("a", 22.0, 20.0, 25.0, 0), Dot("b", math.nan, None, None, 1)], title="t", x_label="x", width=700
    )
    low, high = re.search(r'<line x1="([\d.]+)" y1="20" x2="([\d.]+)" y2="20" class="interval"', svg).groups()  # type: ignore[union-attr]
    assert float(low) < float(re.search(r'<circle cx="([\d.]+)"', svg)[1]) < float(high)  # type: ignore[index]
    assert svg.count("<circle") == 1
    assert ">n/a<" in svg


@given(st.lists(st.floats(26, 216), min_size=1, max_size=30))
def test_end_labels_do_not_overlap(wanted):
    placed = _spread(wanted, 14, 26, 216)
    gap = min(14, 190 / max(1, len(wanted) - 1))
    assert all(26 - 1e-6 <= position <= 216 + 1e-6 for position in placed)
    assert all(lower - upper >= gap - 1e-6 for upper, lower in pairwise(sorted(placed)))
    assert all(
        placed[a] <= placed[b]
        for a in range(len(wanted))
        for b in range(len(wanted))
        if wanted[a] < wanted[b]
    )


def test_a_figure_has_both_widths_and_its_numbers(parse):
    drawn = figure(
        lambda width: bar_chart([("a", 1.5)], title="t", x_label="x", y_label="y", width=width),
        ["how to read"],
        ["x", "y"],
        [["a", "1.5"]],
    )
    page = parse(drawn)
    assert [attributes["class"] for name, attributes in page.elements if name == "svg"] == ["wide", "narrow"]
    assert page.all_text("td") == ["1.5"]
    assert [
        name for name, _ in page.elements if name in ("figure", "figcaption", "details", "summary", "table")
    ] == [
        "figure",
        "figcaption",
        "details",
        "summary",
        "table",
    ]


def test_many_lines_make_a_taller_chart():
    """So that each name at the right has a line of its own."""
    few, many = (
        line_chart(
            [Line(f"system {n}", [(0, 1.0), (9, 1.0 + n / 100)], n) for n in range(count)],
            title="t",
            x_label="x",
            y_label="y",
            width=720,
        )
        for count in (3, 24)
    )
    heights = [float(re.search(r'viewBox="0 0 720 ([0-9.]+)"', str(chart)).group(1)) for chart in (few, many)]
    assert heights == [250, 60 + 14 * 24]
    places = sorted(float(y) for y in re.findall(r'y="([0-9.]+)"[^>]*class="end"', str(many)))
    assert len(places) == 24
    assert min(low - high for high, low in pairwise(places)) >= 13.9


def test_names_of_lines_that_end_early_stand_apart_too():
    lines = [Line(f"system {n}", [(0, 1.0), (4 if n else 9, 2.0)], n) for n in range(12)]
    early = line_chart(lines, title="t", x_label="x", y_label="y", width=720)
    ends = [
        (float(x), float(y))
        for x, y in re.findall(r'<text x="([0-9.]+)" y="([0-9.]+)"[^>]*class="end"', str(early))
    ]
    by_place: dict[float, list[float]] = {}
    for x, y in ends:
        by_place.setdefault(x, []).append(y)
    assert sorted(map(len, by_place.values())) == [1, 11]
    assert all(min((b - a for a, b in pairwise(sorted(ys))), default=14) >= 13.9 for ys in by_place.values())
