"""kNN-LM: by hand, against a search of everything, sums to 1, and sees nothing of the future."""

import numpy as np
import pytest

from model.baselines import knn_lm
from model.baselines.knn_lm import Nearest, knn_probabilities, nearest_states, with_recent

WIDTH, LENGTH, VOCABULARY = 6, 300, 7


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Ten of the nearest, so that some are left out, and several blocks."""
    monkeypatch.setattr(knn_lm, "NEAREST", 10)
    monkeypatch.setattr(knn_lm, "BLOCK", 50)


def states(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(LENGTH, WIDTH)).astype(np.float32)


def limits(lag: int = 40) -> np.ndarray:
    return np.maximum(np.arange(LENGTH) // 16 * 16 - lag, 0)


def in_two_parts(states_ND: np.ndarray) -> Nearest:
    return with_recent(nearest_states(states_ND, limits()), states_ND, limits())


PASTS = {"whole": np.arange(LENGTH), "beyond": limits()}


def searched(states_ND: np.ndarray, limits_N: np.ndarray) -> np.ndarray:
    """[N, 10] squared distances of the nearest, from all distances of each state."""
    found = np.full((LENGTH, 10), np.inf)
    for row, limit in enumerate(limits_N):
        distances = np.sort(((states_ND[:limit].astype(np.float64) - states_ND[row]) ** 2).sum(1))[:10]
        found[row, : len(distances)] = distances
    return found


def test_a_softmax_over_distances_by_hand():
    nearest = Nearest(
        np.array([[2, 0, 1], [1, -1, -1], [-1, -1, -1]]),
        np.array([[1.0, 1.0, 3.0], [4.0, np.inf, np.inf], [np.inf] * 3]),
    )
    values = np.array([5, 6, 5])
    weights = np.exp([0, 0, -1])
    found = knn_probabilities(nearest, values, np.array([5, 6, 5]), 2.0)
    assert found == pytest.approx([weights[:2].sum() / weights.sum(), 1.0, 0.0])
    assert knn_probabilities(nearest, values, np.array([6, 5, 6]), 2.0) == pytest.approx(
        [weights[2] / weights.sum(), 0.0, 0.0]
    )


@pytest.mark.parametrize("past", PASTS)
def test_the_nearest_are_those_of_a_search_of_everything(past):
    states_ND, allowed = states(), PASTS[past]
    for found in (
        nearest_states(states_ND, allowed),
        *([in_two_parts(states_ND)] if past == "whole" else []),
    ):
        assert found.distances_NK == pytest.approx(searched(states_ND, allowed), abs=1e-4)
        assert (found.places_NK < np.maximum(allowed[:, None], 0)).all()
        assert ((found.places_NK >= 0) == (np.arange(10) < allowed[:, None])).all()
        known = found.places_NK >= 0
        measured = ((states_ND[found.places_NK] - states_ND[:, None]) ** 2).sum(2)
        assert found.distances_NK[known] == pytest.approx(measured[known], abs=1e-4)
        assert all(len({*row[row >= 0]}) == (row >= 0).sum() for row in found.places_NK)


def test_a_graph_finds_most_of_them_and_nothing_beyond_the_limit():
    states_ND = states()
    exact, graph = nearest_states(states_ND, limits()), nearest_states(states_ND, limits(), "hnsw")
    assert (graph.places_NK < np.maximum(limits()[:, None], 0)).all()
    found = sum(
        len(np.intersect1d(*(row[row >= 0] for row in rows)))
        for rows in zip(exact.places_NK, graph.places_NK, strict=True)
    )
    assert found > 0.9 * (exact.places_NK >= 0).sum()


@pytest.mark.parametrize("past", PASTS)
def test_it_sums_to_one_over_the_vocabulary_where_anything_is_stored(past):
    states_ND, values = states(), np.random.default_rng(1).integers(0, VOCABULARY, LENGTH)
    nearest = nearest_states(states_ND, PASTS[past])
    total = sum(
        knn_probabilities(nearest, values, np.full(LENGTH, token), 3.0) for token in range(VOCABULARY)
    )
    assert np.abs(total - (PASTS[past] > 0)).max() < 1e-6


def test_states_at_equal_places_count_as_equal():
    nearest = nearest_states(np.zeros((LENGTH, WIDTH), np.float32), PASTS["whole"])
    values = np.arange(LENGTH) % 2
    assert knn_probabilities(nearest, values, np.ones(LENGTH), 1.0)[250] == pytest.approx(
        (values[nearest.places_NK[250]] == 1).mean()
    )


@pytest.mark.parametrize(
    "search", [lambda s: nearest_states(s, limits()), in_two_parts], ids=["beyond", "whole"]
)
def test_nothing_of_the_future_is_seen(search):
    states_ND, values = states(), np.random.default_rng(1).integers(0, VOCABULARY, LENGTH)
    changed, others = states_ND.copy(), values.copy()
    changed[150:], others[149:] = states(2)[150:], (values[149:] + 1) % VOCABULARY
    asked = np.random.default_rng(3).integers(0, VOCABULARY, LENGTH)
    before, after = (
        knn_probabilities(search(s), v, asked, 3.0) for s, v in ((states_ND, values), (changed, others))
    )
    # State 149 is followed by a token that changed, and is stored for state 150.
    assert before[:150] == pytest.approx(after[:150], abs=1e-6)
    assert (np.abs(before[150:] - after[150:]) > 1e-3).any()


def test_a_limit_beyond_its_state_is_refused():
    with pytest.raises(ValueError, match="hold what it is to predict"):
        nearest_states(states(), np.arange(LENGTH) + 1)
