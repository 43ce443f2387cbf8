"""When an order of two systems may be claimed."""

import math

import pytest

from reports.metrics.seeds import Order, SeedFigures, ordered, orders, pooled_deviation, seed_figures


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


def row(system: str, perplexity: float | None) -> tuple[str, float | None]:
    return system, perplexity


def test_means_and_deviations_are_of_systems_trained_more_than_once_and_leave_out_what_diverged():
    systems = [row("a", 2.0), row("b", 5.0), row("a", 4.0), row("b", None), row("a", None)]
    assert seed_figures(systems) == [SeedFigures("a", 2, 3.0, pytest.approx(math.sqrt(2)))]


def test_orders_name_the_better_system_and_what_the_claim_rests_on():
    systems = [row("worse", value) for value in (20.0, 21.0, 22.0)] + [
        row("better", value) for value in (10.0, 11.0, 12.0)
    ]
    (found,) = orders([*systems, *(row("near", value) for value in (19.5, 20.5, 21.5)), row("few", 1.0)][:6])
    assert found == Order("better", "worse", 10.0, 1.0)
    claimed = orders([*systems, *(row("near", value) for value in (19.5, 20.5, 21.5)), row("few", 1.0)])
    assert [(order.better, order.worse) for order in claimed] == [("better", "worse"), ("better", "near")]
    assert orders([*systems, row("better", None)]) == []
