"""When an order of two systems may be claimed."""

import math

import pytest

from reports.seeds import ordered, pooled_deviation


def test_the_pooled_deviation_weighs_variances_by_degrees_of_freedom():
    assert pooled_deviation([0, 2], [0, 2]) == pytest.approx(math.sqrt(2))
    # Variances 1 of three and 8 of two runs: (2 * 1 + 1 * 8) / 3.
    assert pooled_deviation([1, 2, 3], [0, 4]) == pytest.approx(math.sqrt(10 / 3))


def test_an_order_takes_three_seeds_of_each_and_a_gap_of_more_than_two_deviations():
    assert ordered([10.0, 11.0, 12.0], [13.1, 14.1, 15.1])
    assert ordered([13.1, 14.1, 15.1], [10.0, 11.0, 12.0])
    assert not ordered([10.0, 11.0, 12.0], [12.0, 13.0, 14.0])  # exactly two deviations
    assert not ordered([10.0, 10.1], [20.0, 20.1, 20.2])
    assert not ordered([10.0, 10.1, 10.2], [20.0])
    assert not ordered([], [])


def test_equal_runs_are_not_ordered_and_equal_seeds_with_a_gap_are():
    assert not ordered([1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    assert ordered([1.0, 1.0, 1.0], [1.1, 1.1, 1.1])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_run_that_diverged_rules_a_claim_out(value):
    assert not ordered([1.0, 1.0, 1.0], [9.0, 9.0, value])
