"""The retrieval index against a sort over all eligible keys."""

import ml_dtypes
import numpy as np
import pytest

from data_contracts.eligibility import last_eligible
from model import retrieval_index
from model.neighbours import own_neighbours
from model.retrieval_index import RetrievalIndex
from tests.tiny import tiny_config


def search_all(queries, keys, stride, count, scratch, index="exact", reach=None):
    """[chunks, count] found for every chunk, stride by stride, and the scores."""
    memory, found = RetrievalIndex(tiny_config(stride_chunks=stride), len(keys), scratch, index), []
    for first in range(0, len(keys), stride):
        strides = slice(first, first + stride)
        memory.add(keys[strides], np.zeros((len(keys[strides]), 4, 16)))
        found.append(memory.search(first, queries[strides], count))
        if reach:
            found[-1] = memory.search_within(first, queries[strides], count, reach)
    ids, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return ids, scores, memory


@pytest.mark.parametrize("reach", [None, 9])
@pytest.mark.parametrize(("chunks", "stride"), [(1, 2), (7, 2), (40, 2), (37, 4), (64, 16)])
def test_the_best_eligible_chunks_are_found_and_no_other(chunks, stride, reach, tmp_path):
    generator = np.random.default_rng(chunks)
    queries, keys = generator.normal(size=(2, chunks, 16)).astype(np.float32)
    found, scores, _ = search_all(queries, keys, stride, 5, tmp_path, reach=reach)
    for query in range(chunks):
        begin = max(0, query - reach) if reach else 0
        products = keys[begin : max(begin, last_eligible(query, stride) + 1)] @ queries[query] / 4
        expected = begin + np.argsort(-products)[:5]
        assert found[query, : len(expected)].tolist() == expected.tolist()
        np.testing.assert_allclose(scores[query, : len(expected)], products[expected - begin], rtol=1e-5)
        assert (found[query, len(expected) :] == -1).all()
        assert (scores[query, len(expected) :] == 0).all()


@pytest.mark.parametrize("keys_of", ["three kinds", "all alike"])
def test_ties_go_to_the_earlier_chunk_as_in_training(keys_of, tmp_path):
    """Many chunks are alike, as empty or repeated ones are; equal scores must not be told apart by where
    Faiss keeps them.
    """
    generator, chunks, stride, count = np.random.default_rng(2), 64, 4, 5
    kinds = generator.integers(-2, 3, size=(3, 16)).astype(np.float32)
    keys = (
        kinds[generator.integers(3, size=chunks)]
        if keys_of == "three kinds"
        else np.tile(kinds[0], (chunks, 1))
    )
    queries = generator.integers(-2, 3, size=(chunks, 16)).astype(np.float32)
    found, _, _ = search_all(queries, keys, stride, count, tmp_path)
    eligible = np.arange(chunks) <= last_eligible(np.arange(chunks), stride)[:, None]
    trained = own_neighbours(queries[None] @ keys.T, eligible, count)
    assert np.array_equal(found, np.asarray(trained)[0])


def test_later_keys_cannot_change_what_was_found(tmp_path):
    generator = np.random.default_rng(0)
    queries, keys = generator.normal(size=(2, 30, 16)).astype(np.float32)
    before, _, _ = search_all(queries, keys, 2, 4, tmp_path)
    keys[16:] *= 100
    after, _, _ = search_all(queries, keys, 2, 4, tmp_path)
    assert np.array_equal(before[:20], after[:20])
    assert not np.array_equal(before[20:], after[20:])


def test_an_approximate_index_finds_eligible_chunks_and_says_how_many_of_the_best(tmp_path):
    generator = np.random.default_rng(1)
    queries, keys = generator.normal(size=(2, 600, 16)).astype(np.float32)
    exact, _, memory = search_all(queries, keys, 2, 5, tmp_path)
    assert memory.recall is None
    found, _, memory = search_all(queries, keys, 2, 5, tmp_path, "hnsw")
    again, _, _ = search_all(queries, keys, 2, 5, tmp_path, "hnsw")
    assert np.array_equal(found, again)
    assert (found <= np.maximum(last_eligible(np.arange(600), 2), -1)[:, None]).all()
    measured = np.mean([len({*a} & {*b}) / 5 for a, b in zip(found[20:], exact[20:], strict=True)])
    assert memory.recall > 0.9
    assert memory.recall == pytest.approx(measured, abs=0.05)
    with pytest.raises(ValueError, match="must be exact or hnsw"):
        RetrievalIndex(tiny_config(), 4, tmp_path, "none")


@pytest.mark.parametrize("limit", [2**30, 0])
@pytest.mark.parametrize(("dtype", "kept"), [("float32", np.float16), ("bfloat16", ml_dtypes.bfloat16)])
def test_pairs_are_a_chunk_and_the_next(limit, dtype, kept, tmp_path, monkeypatch):
    monkeypatch.setattr(retrieval_index, "IN_MEMORY_BYTES", limit)
    states = np.random.default_rng(0).normal(size=(6, 4, 16)).astype(kept)
    memory = RetrievalIndex(tiny_config(dtype=dtype), 5, tmp_path)
    for first in (0, 2, 4):
        memory.add(None, states[first : first + 2])
    pairs = memory.pairs(np.array([[3, 0], [-1, 1]]))
    assert pairs.dtype == kept
    assert pairs.shape == (2, 2, 8, 16)
    for place, chunk in (((0, 0), 3), ((0, 1), 0), ((1, 1), 1)):
        assert np.array_equal(pairs[place], np.concatenate(states[chunk : chunk + 2]))
    assert isinstance(memory._states_CMD, np.memmap) == (limit == 0)
    assert not list(tmp_path.iterdir())


def test_a_state_that_half_precision_cannot_hold_is_refused(tmp_path, small):
    memory = RetrievalIndex(small, 4, tmp_path)
    with pytest.raises(ValueError, match="65504"):
        memory.add(None, np.full((2, small.chunk_tokens, small.width), 1e5, np.float32))
