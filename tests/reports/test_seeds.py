"""An order of two systems is claimed only where the luck of a seed cannot make it."""

import math

import pytest

from reports.seeds import ordered, pooled_deviation


def test_the_pooled_deviation_is_that_of_both_samples():
    assert pooled_deviation([1.0, 2.0, 3.0], [11.0, 12.0, 13.0]) == pytest.approx(1.0)
    assert pooled_deviation([0.0, 0.0], [-2.0, 0.0, 2.0]) == pytest.approx(math.sqrt(8 / 3))


@pytest.mark.parametrize(
    ("a", "b", "claimed"),
    [
        ([1.0, 2.0, 3.0], [3.1, 4.1, 5.1], True),
        ([1.0, 2.0, 3.0], [3.0, 4.0, 5.0], False),
        ([1.0, 2.0], [100.0, 101.0, 102.0], False),
        ([1.0], [100.0], False),
        ([], [], False),
        ([2.0, 2.0, 2.0], [2.0, 2.0, 2.0], False),
    ],
)
def test_three_seeds_and_two_deviations(a, b, claimed):
    assert ordered(a, b) is claimed
