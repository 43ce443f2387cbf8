"""Numbers as text."""

from __future__ import annotations

import math

import pytest

from reports.html.formats import count, finite, interval, number, percent, size

MISSING = [None, math.nan, math.inf, -math.inf, 1e200]


@pytest.mark.parametrize("value", MISSING)
def test_what_is_missing_reads_not_available(value):
    assert not finite(value)
    assert {
        number(value),
        count(value),
        percent(value),
        size(value),
        interval(1.0, value),
        interval(value, 1.0),
    } == {"n/a"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (number(1234.567), "1,234.57"),
        (number(-0.0214, 3, signed=True), "\N{MINUS SIGN}0.021"),
        (number(0.5, 1, signed=True), "+0.5"),
        (number(-0.0001, 3), "0.000"),
        (number(3.2e9), "3.2e+09"),
        (number(7), "7.00"),
        (count(98_304.0), "98,304"),
        (percent(0.2143), "21.4 %"),
        (size(940), "940"),
        (size(1_318_144), "1.32 M"),
        (size(923_904), "924 k"),
        (size(999_700), "1,000 k"),
        (size(2.4e9), "2.4 G"),
        (interval(-1, 2, 1, signed=True), "[\N{MINUS SIGN}1.0, +2.0]"),
    ],
)
def test_what_is_there_is_rounded(text, expected):
    assert text == expected
