"""rank-bm25 is the definition: same scores, same order under the stated tie-break, for both forms of query."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from data_contracts.eligibility import last_eligible
from stages.bm25 import best_candidates
from stages.parameters import Mining

MINING = Mining(max_candidates=6)


def random_chunks(seed: int, chunks: int, vocabulary: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.zipf(1.4, size=(chunks, 8)).clip(max=vocabulary)


def expected(chunks: np.ndarray, query: int, stride: int, with_target: bool) -> list[tuple[int, float]]:
    eligible = last_eligible(query, stride) + 1
    pool = chunks if with_target else chunks[:eligible]
    tokens = chunks[query : query + (2 if with_target else 1)].ravel().tolist()
    scores = BM25Okapi(pool.tolist()).get_scores(tokens)[:eligible]
    order = sorted(range(eligible), key=lambda chunk: (-np.float32(scores[chunk]), -chunk))
    return [(chunk, scores[chunk]) for chunk in order]


@pytest.mark.parametrize("with_target", [True, False])
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), chunks=st.integers(1, 40), vocabulary=st.integers(2, 60), stride=st.integers(1, 4))
def test_candidates_and_scores_are_those_of_rank_bm25(with_target, seed, chunks, vocabulary, stride):
    pool = random_chunks(seed, chunks, vocabulary)
    found = {query: (order, scores) for query, order, scores in best_candidates(pool, stride, MINING, with_target)}
    queries = [query for query in range(chunks - with_target) if last_eligible(query, stride) >= 0]
    assert sorted(found) == queries
    for query in queries:
        want = expected(pool, query, stride, with_target)
        order, scores = found[query]
        kept = want[: MINING.max_candidates]
        np.testing.assert_allclose(scores, [score for _, score in kept], rtol=1e-5, atol=1e-9)
        ranked = np.array([score for _, score in want])
        if not np.isclose(ranked[1:], ranked[:-1], rtol=1e-5, atol=1e-9).any():
            assert order.tolist() == [chunk for chunk, _ in kept]


def test_ties_go_to_the_nearer_chunk():
    pool = np.tile(np.arange(8), (12, 1))
    for query, order, _ in best_candidates(pool, 2, MINING, with_target=True):
        assert order.tolist() == list(range(last_eligible(query, 2), -1, -1))[: MINING.max_candidates]


def test_without_the_target_the_future_does_not_show():
    pool = random_chunks(3, 40, 30)
    changed = pool.copy()
    changed[20:] = 77
    before = {query: (order.tolist(), scores.tolist()) for query, order, scores in best_candidates(pool, 2, MINING, False)}
    after = {query: (order.tolist(), scores.tolist()) for query, order, scores in best_candidates(changed, 2, MINING, False)}
    assert all(before[query] == after[query] for query in before if query < 20)
    assert before[30] != after[30]
