import jax
import jax.numpy as jnp
import numpy as np

from model.masks import eligible_pairs
from model.neighbours import (
    chunk_pairs,
    dense_relevance,
    gather_pairs,
    gold_alone,
    gold_then_own,
    own_neighbours,
)

CHUNKS, STRIDE = 10, 2
ELIGIBLE = eligible_pairs(CHUNKS, STRIDE)  # chunk 9: 0 .. 4, chunk 5: 0, chunk 3: none


def scores(seed: int = 0) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), (1, CHUNKS, CHUNKS))


def test_own_neighbours_are_the_best_eligible() -> None:
    found = np.asarray(own_neighbours(scores(), ELIGIBLE, 3))[0]
    for query in range(CHUNKS):
        eligible = np.flatnonzero(ELIGIBLE[query])
        best = eligible[np.argsort(-np.asarray(scores())[0, query, eligible], kind="stable")][:3]
        assert list(found[query]) == list(best) + [-1] * (3 - len(best))


def test_ties_go_to_the_earlier_chunk() -> None:
    assert list(own_neighbours(jnp.zeros((1, CHUNKS, CHUNKS)), ELIGIBLE, 2)[0, 9]) == [0, 1]


def test_more_neighbours_than_chunks() -> None:
    assert own_neighbours(scores()[:, :2, :2], ELIGIBLE[:2, :2], 4).tolist() == [[[-1] * 4] * 2]


def test_gold_comes_first_in_order_of_relevance_and_own_fills_the_rest() -> None:
    relevance = jnp.zeros((1, CHUNKS, CHUNKS)).at[0, 9, jnp.array([4, 1])].set(jnp.array([0.5, 2.0]))
    found = np.asarray(gold_then_own(scores(), relevance, ELIGIBLE, 4))[0]
    others = [j for j in np.argsort(-np.asarray(scores())[0, 9]) if j in (0, 2, 3)]
    assert list(found[9]) == [1, 4, *others[:2]]
    assert list(found[7]) == list(own_neighbours(scores(), ELIGIBLE, 4)[0, 7])
    assert list(found[3]) == [-1] * 4


def test_absent_candidates_touch_no_chunk() -> None:
    candidates = jnp.full((1, CHUNKS, 2), -1).at[0, 9].set(jnp.array([0, -1])).at[0, 8].set(jnp.array([7, 3]))
    relevance = dense_relevance(candidates, jnp.full(candidates.shape, 3.0), ELIGIBLE)
    assert np.argwhere(np.asarray(relevance)).tolist() == [[0, 8, 3], [0, 9, 0]]


def test_gold_alone_leaves_what_is_missing_empty() -> None:
    relevance = jnp.zeros((1, CHUNKS, CHUNKS)).at[0, 9, jnp.array([4, 1, 3])].set(jnp.array([0.5, 2.0, 0.5]))
    found = np.asarray(gold_alone(scores(), relevance, ELIGIBLE, 4))[0]
    assert list(found[9]) == [1, 3, 4, -1]
    assert np.all(found[:9] == -1)
    filled = np.asarray(gold_then_own(scores(), relevance, ELIGIBLE, 4))[0]
    np.testing.assert_array_equal(np.where(found == -1, filled, found), filled)
    assert gold_alone(scores()[:, :2, :2], relevance[:, :2, :2], ELIGIBLE[:2, :2], 4).tolist() == [
        [[-1] * 4] * 2
    ]


def test_a_pair_is_a_chunk_and_its_continuation() -> None:
    chunks = jax.random.normal(jax.random.key(0), (2, CHUNKS, 3, 4))
    pairs = chunk_pairs(chunks, STRIDE)
    assert pairs.shape == (2, 5, 6, 4)
    ids = jnp.tile(jnp.array([4, 0, -1]), (2, CHUNKS, 1))
    gathered = gather_pairs(pairs, ids)
    np.testing.assert_array_equal(gathered[1, 2, 0], jnp.concatenate((chunks[1, 4], chunks[1, 5])))
    np.testing.assert_array_equal(gathered[0, 7, 1], jnp.concatenate((chunks[0, 0], chunks[0, 1])))


def test_a_sequence_without_any_retrievable_pair_still_has_arrays() -> None:
    assert chunk_pairs(jnp.ones((1, 1, 3, 4)), 1).shape == (1, 1, 6, 4)
