"""Axes hold their values and have increasing, round ticks."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.html.axis import make_axis

VALUES = st.lists(st.one_of(st.none(), st.floats()), max_size=12)


@given(VALUES, st.booleans())
def test_every_finite_value_lies_on_the_axis(values, snap):
    axis = make_axis(values, 40, 640, snap=snap)
    for value in values:
        if value is not None and math.isfinite(value) and abs(value) < 1e100:
            assert 40 <= axis.place(value) <= 640


@given(VALUES)
def test_ticks_increase_and_lie_on_the_axis(values):
    axis = make_axis(values, 640, 40)
    assert list(axis.ticks) == sorted(set(axis.ticks))
    assert 2 <= len(axis.ticks) <= 8
    assert all(40 <= axis.place(tick) <= 640 for tick in axis.ticks)


@given(st.lists(st.floats(-1e6, 1e6).map(lambda value: round(value, 3)), min_size=1))
def test_labels_tell_ticks_apart(values):
    axis = make_axis(values, 0, 100)
    labels = [axis.label(tick) for tick in axis.ticks]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([21.4, 24.6], ["21", "22", "23", "24", "25"]),
        ([-0.06, 0.0], ["-0.06", "-0.04", "-0.02", "0.00"]),
        ([0, 170], ["0", "50", "100", "150", "200"]),
        ([0.12, 0.3], ["0.10", "0.15", "0.20", "0.25", "0.30"]),
    ],
)
def test_ticks_are_round(values, labels):
    axis = make_axis(values, 0, 100)
    assert [axis.label(tick).replace("\N{MINUS SIGN}", "-") for tick in axis.ticks] == labels


def test_whole_axes_have_whole_ticks():
    assert make_axis([1, 3], 0, 100, whole=True, snap=False).ticks == (1, 2, 3)
