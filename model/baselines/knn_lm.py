"""kNN-LM (Khandelwal et al. 2020, arXiv 1911.00172) over the states of one document: what followed the states
most like this one.

Every token of the document is stored with the state that predicted it. p(w) is a softmax over minus the
squared distances of the nearest stored states, summed over those that were followed by w. With an exact index
all is exact; nothing is trained.
"""

from __future__ import annotations

from typing import NamedTuple

import faiss
import numpy as np

NEAREST = 64
BLOCK = 1024  # states that are searched for at once
HNSW_LINKS, HNSW_SEARCH = 32, 128


class Nearest(NamedTuple):
    """[N, K] places of the stored states nearest to each state, nearest first, and their squared distances;
    -1 and inf where there are fewer."""

    places_NK: np.ndarray
    distances_NK: np.ndarray


def nearest_states(states_ND: np.ndarray, limits_N: np.ndarray, index: str = "exact") -> Nearest:
    """For each state n the nearest among the first `limits_N[n]` <= n of them; limits never fall.

    `index` is "exact" or "hnsw", as of model/retrieval_index.py. A block of states is searched for in an
    index of what all of it may see; what only some of it may see is compared one by one.

    Raises:
        ValueError: a limit lies beyond its state.
    """
    if (limits_N > np.arange(len(states_ND))).any():
        raise ValueError("a limit lies beyond its state: the store would hold what it is to predict")
    store = faiss.IndexFlatL2(states_ND.shape[1]) if index == "exact" else _graph(states_ND.shape[1])
    parts = []
    for begin in range(0, len(states_ND), BLOCK):
        asked_QD, limits_Q = states_ND[begin : begin + BLOCK], limits_N[begin : begin + BLOCK]
        first, last = int(limits_Q[0]), int(limits_Q[-1])
        store.add(states_ND[store.ntotal : first])
        distances_QK, places_QK = store.search(asked_QD, NEAREST)
        rest_QS = _distances(asked_QD, states_ND[first:last])
        seen_QS = np.arange(first, last) < limits_Q[:, None]
        every_QX = np.concatenate(
            (np.where(places_QK >= 0, distances_QK, np.inf), np.where(seen_QS, rest_QS, np.inf)), axis=1
        )
        places_QX = np.concatenate(
            (places_QK, np.broadcast_to(np.arange(first, last), seen_QS.shape)), axis=1
        )
        parts.append(_nearest_of(places_QX, every_QX))
    return Nearest(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def with_recent(nearest: Nearest, states_ND: np.ndarray, limits_N: np.ndarray) -> Nearest:
    """The nearest of all states before each: those of `nearest`, which are of the first `limits_N[n]`, or of
    the few since then.
    """
    parts = []
    for begin in range(0, len(states_ND), BLOCK):
        here = slice(begin, begin + BLOCK)
        first, asked_QD = int(limits_N[begin]), states_ND[here]
        since_S = np.arange(first, begin + len(asked_QD))
        recent_QS = (since_S >= limits_N[here, None]) & (since_S < begin + np.arange(len(asked_QD))[:, None])
        distances_QS = np.where(recent_QS, _distances(asked_QD, states_ND[since_S]), np.inf)
        places_QX = np.concatenate(
            (nearest.places_NK[here], np.broadcast_to(since_S, recent_QS.shape)), axis=1
        )
        parts.append(
            _nearest_of(places_QX, np.concatenate((nearest.distances_NK[here], distances_QS), axis=1))
        )
    return Nearest(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def knn_probabilities(
    nearest: Nearest, values_N: np.ndarray, asked_N: np.ndarray, temperature: float
) -> np.ndarray:
    """The probability of each asked token; `values_N` are the tokens that followed the stored states. 0 where
    nothing is stored.
    """
    distances_NK = nearest.distances_NK.astype(np.float64)
    least_N1 = np.where(distances_NK[:, :1] < np.inf, distances_NK[:, :1], 0)
    weights_NK = np.exp((least_N1 - distances_NK) / temperature)
    right_NK = (values_N[nearest.places_NK] == asked_N[:, None]) & (nearest.places_NK >= 0)
    # The nearest has weight 1, so that only an empty store has less.
    return (weights_NK * right_NK).sum(1) / np.maximum(weights_NK.sum(1), 1)


def _nearest_of(places_QX: np.ndarray, distances_QX: np.ndarray) -> Nearest:
    """The nearest of at least NEAREST, which a distance of inf leaves out."""
    some_QK = np.argpartition(distances_QX, NEAREST - 1, axis=1)[:, :NEAREST]
    order_QK = np.argsort(np.take_along_axis(distances_QX, some_QK, axis=1), axis=1, kind="stable")
    chosen_QK = np.take_along_axis(some_QK, order_QK, axis=1)
    places_QK, distances_QK = (
        np.take_along_axis(values, chosen_QK, axis=1) for values in (places_QX, distances_QX)
    )
    return Nearest(np.where(distances_QK < np.inf, places_QK, -1), distances_QK)


def _distances(asked_QD: np.ndarray, stored_SD: np.ndarray) -> np.ndarray:
    squares_QS = (asked_QD**2).sum(1)[:, None] + (stored_SD**2).sum(1) - 2 * asked_QD @ stored_SD.T
    return np.maximum(squares_QS, 0)


def _graph(width: int) -> faiss.Index:
    graph = faiss.IndexHNSWFlat(width, HNSW_LINKS)
    graph.hnsw.efSearch = HNSW_SEARCH
    return graph
