"""Mixtures: the weight of most likelihood, one a group, and nothing of the second distribution where there is
none.
"""

import numpy as np
import pytest

from model.baselines.mixture import fitted_weights, mixed_losses


def test_the_weight_is_that_of_the_largest_likelihood():
    rng = np.random.default_rng(0)
    model, other = rng.uniform(0.01, 0.3, 4000), rng.uniform(0.0, 0.5, 4000)
    group = np.arange(4000) % 2
    weights = fitted_weights(model, other, group, 2)
    for number in range(2):
        here = group == number
        grid = np.linspace(0.001, 0.999, 999)
        likelihood = [np.log((1 - weight) * model[here] + weight * other[here]).sum() for weight in grid]
        assert weights[number] == pytest.approx(grid[np.argmax(likelihood)], abs=2e-3)


def test_a_group_of_few_tokens_is_kept_off_the_ends_and_an_empty_one_gets_nothing():
    weights = fitted_weights(np.array([0.1, 0.1]), np.array([1.0, 0.0]), np.array([0, 1]), 3)
    assert 0.5 < weights[0] < 0.7
    assert 0.3 < weights[1] < 0.5
    assert weights[2] == 0


def test_tokens_without_a_group_do_not_count():
    group = np.array([0, -1, -1])
    assert fitted_weights(np.array([0.1, 0.5, 0.5]), np.array([0.9, 0.0, 0.0]), group, 1) == fitted_weights(
        np.array([0.1]), np.array([0.9]), np.array([0]), 1
    )


def test_losses_of_a_mixture_by_hand():
    losses = mixed_losses(
        -np.log([0.5, 0.5, 0.25]), np.array([0.1, 0.9, 0.9]), np.array([0, 1, -1]), np.array([0.5, 0.25])
    )
    assert np.exp(-losses) == pytest.approx([0.3, 0.6, 0.25])


def test_a_mixture_sums_to_one():
    rng = np.random.default_rng(0)
    model, other = (rng.dirichlet(np.ones(20), 50) for _ in range(2))
    group, weights = rng.integers(-1, 3, 50), np.array([0.1, 0.7, 1.0])
    total = sum(
        np.exp(-mixed_losses(-np.log(model[:, token]), other[:, token], group, weights))
        for token in range(20)
    )
    assert np.abs(total - 1).max() < 1e-6
