"""rank-bm25 is the definition: same scores, same order under the stated tie-break, for both forms of query
and both scopes of idf.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from data_contracts.eligibility import last_eligible
from stages.mining import bm25
from stages.mining.bm25 import (
    NOT_A_CANDIDATE,
    Candidates,
    EligibleIdf,
    PoolOkapi,
    best_candidates,
    largest,
    sortable,
    term_counts,
    unpack,
)
from stages.parameters import Mining

FORMS = pytest.mark.parametrize(
    ("with_target", "scope"), [(True, "document"), (True, "eligible"), (False, "document")]
)


def random_chunks(seed: int, chunks: int, vocabulary: int, size: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).zipf(1.4, size=(chunks, size)).clip(max=vocabulary)


def found(
    chunks: np.ndarray, stride: int, mining: Mining, with_target: bool
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """{query: (candidates, scores), best first}."""
    blocks = list(best_candidates(chunks, stride, mining, with_target))
    query, candidate, rank, score = (
        (np.concatenate(column) for column in zip(*blocks, strict=True)) if blocks else [np.empty(0, int)] * 4
    )
    assert (np.diff(query) >= 0).all()
    rows = {int(each): (candidate[query == each], score[query == each]) for each in np.unique(query)}
    assert all((rank[query == each] == np.arange(len(rows[each][0]))).all() for each in rows)
    return rows


def expected(
    chunks: np.ndarray, stride: int, mining: Mining, with_target: bool
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """The same by brute force: `get_scores` of rank-bm25 for each query, ranked in float32, ties to the
    larger index.
    """
    whole = with_target and mining.idf_scope == "document"
    rows = {}
    for query in range(len(chunks) - with_target):
        start, end = max(0, query - mining.max_span), last_eligible(query, stride) + 1
        if end <= start:
            continue
        okapi = BM25Okapi(
            (chunks if whole else chunks[:end]).tolist(), k1=mining.k1, b=mining.b, epsilon=mining.epsilon
        )
        scores = okapi.get_scores(chunks[query : query + 1 + with_target].ravel().tolist())[start:end]
        order = np.lexsort((-np.arange(start, end), -scores.astype(np.float32)))[: mining.max_candidates]
        rows[query] = start + order, scores[order]
    return rows


def assert_same(chunks: np.ndarray, stride: int, mining: Mining, with_target: bool) -> None:
    got, want = found(chunks, stride, mining, with_target), expected(chunks, stride, mining, with_target)
    assert list(got) == list(want)
    for query, (candidates, scores) in got.items():
        np.testing.assert_allclose(scores, want[query][1], rtol=1e-5, atol=1e-12)
        assert candidates.tolist() == want[query][0].tolist(), query


@FORMS
def test_two_hundred_random_documents(with_target, scope):
    generator = np.random.default_rng(0)
    for seed in range(200):
        chunks = random_chunks(seed, generator.integers(1, 40), generator.integers(2, 200))
        assert_same(
            chunks, int(generator.integers(1, 5)), Mining(max_candidates=20, idf_scope=scope), with_target
        )


@FORMS
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    chunks=st.integers(1, 40),
    vocabulary=st.integers(1, 6),
    stride=st.integers(1, 4),
    span=st.integers(1, 50),
    constants=st.sampled_from([(1.5, 0.75, 0.25), (0.9, 0.4, 0.0), (1.2, 0.0, 2.0)]),
)
def test_tiny_vocabularies_spans_and_other_constants(
    with_target, scope, seed, chunks, vocabulary, stride, span, constants
):
    k1, b, epsilon = constants
    mining = Mining(max_candidates=6, k1=k1, b=b, epsilon=epsilon, idf_scope=scope, max_span=span)
    assert_same(random_chunks(seed, chunks, vocabulary), stride, mining, with_target)


@FORMS
@pytest.mark.parametrize("max_candidates", [1, 3, 70])
def test_a_pool_longer_than_blocks_tiles_and_span_is_brute_force_within_the_span(
    monkeypatch, with_target, scope, max_candidates
):
    monkeypatch.setattr(bm25, "BLOCK_QUERIES", 32)
    monkeypatch.setattr(bm25, "TILE", 48)
    chunks = random_chunks(5, 330, 60)
    mining = Mining(max_candidates=max_candidates, idf_scope=scope, max_span=150)
    assert_same(chunks, 4, mining, with_target)
    distances = [
        query - candidates.min() for query, (candidates, _) in found(chunks, 4, mining, with_target).items()
    ]
    assert max(distances) <= mining.max_span
    assert max(distances) > mining.max_span - 20, "the span is used"


def test_the_pool_may_have_a_negative_mean_idf():
    chunks = np.tile([1, 2, 3, 3], (12, 1))
    chunks[::5, 0] = 4
    okapi = PoolOkapi(term_counts(chunks))
    assert okapi.average_idf < 0
    assert_same(chunks, 2, Mining(max_candidates=5), with_target=True)
    assert_same(chunks, 2, Mining(max_candidates=5), with_target=False)


def test_okapi_of_a_pool_is_rank_bm25():
    chunks = random_chunks(7, 60, 300)
    ours, theirs = PoolOkapi(term_counts(chunks)), BM25Okapi(chunks.tolist())
    assert ours.idf_T.tolist() == list(theirs.idf.values()), (
        "to the last bit, terms in the order of first occurrence"
    )
    assert ours.doc_len.tolist() == theirs.doc_len
    assert (ours.avgdl, ours.corpus_size, ours.average_idf) == (
        theirs.avgdl,
        theirs.corpus_size,
        theirs.average_idf,
    )


def test_weights_use_each_length_and_the_average():
    counts = term_counts(np.arange(12).reshape(3, 4))
    counts[0, 0] = 9.0
    okapi = PoolOkapi(counts)
    length = np.array([12, 4, 4])
    norm = 1.5 * (0.25 + 0.75 * length / length.mean())
    np.testing.assert_allclose(okapi.weights(counts).toarray()[1, 4:8], 2.5 / (1 + norm[1]))
    np.testing.assert_allclose(okapi.weights(counts)[0, 0], 9 * 2.5 / (9 + norm[0]))


def test_eligible_idf_in_steps_is_rank_bm25_on_each_prefix():
    chunks = random_chunks(8, 50, 40)
    idf = EligibleIdf(term_counts(chunks), 0.25)
    rows = np.concatenate([idf.rows(np.array(ends)) for ends in ([1, 2, 9], [9], [9, 30], [31, 50])])
    for row, end in zip(rows, [1, 2, 9, 9, 9, 30, 31, 50], strict=True):
        okapi = BM25Okapi(chunks[:end].tolist())
        assert row.tolist() == [*okapi.idf.values(), *[0.0] * (len(row) - len(okapi.idf))], "to the last bit"


def test_ties_go_to_the_nearer_chunk():
    chunks = np.tile(np.arange(8), (12, 1))
    for query, (candidates, _) in found(chunks, 2, Mining(max_candidates=6), with_target=True).items():
        assert candidates.tolist() == list(range(last_eligible(query, 2), -1, -1))[:6]


def test_the_order_of_summation_decides_nothing():
    head = [[1, 2, 3], [4, 5, 6], [2, 3, 3], [5, 4, 4], [3, 9, 9], [4, 9, 9]]
    chunks = np.array([*head, *([[7, 8, 9]] * 16), [1, 2, 3], [6, 5, 4]])
    counts = term_counts(chunks)
    okapi = PoolOkapi(counts)
    farther, nearer = (okapi.weights(counts) @ ((counts[-2] + counts[-1]).toarray().ravel() * okapi.idf_T))[
        :2
    ]
    assert farther > nearer, (
        "in float64; both have one word of each of three frequencies, met in another order"
    )
    candidates, scores = found(chunks, 2, Mining(max_candidates=2), with_target=True)[len(chunks) - 2]
    assert candidates.tolist() == [1, 0]
    assert scores[0] == scores[1]


def test_without_the_target_the_future_does_not_show():
    chunks = random_chunks(3, 150, 300)
    changed = chunks.copy()
    changed[80:] = np.random.default_rng(4).integers(1, 900, (70, 8))
    before, after = (
        found(pool, 2, Mining(max_candidates=6), with_target=False) for pool in (chunks, changed)
    )
    for query in (query for query in before if query < 80):
        assert before[query][0].tolist() == after[query][0].tolist()
        assert before[query][1].tobytes() == after[query][1].tobytes()
    assert before[100][0].tolist() != after[100][0].tolist()


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), width=st.integers(1, 400), k=st.integers(1, 8), valid=st.floats(0, 1))
def test_largest_is_a_sort(seed, width, k, valid):
    generator = np.random.default_rng(seed)
    scores = generator.integers(-3, 4, (5, width)) * np.float32(0.1)
    keys = sortable(scores, np.arange(width))
    keys[generator.random(keys.shape) > valid] = NOT_A_CANDIDATE
    assert largest(keys, k).tolist() == np.sort(keys, axis=1)[:, ::-1][:, :k].tolist()


def test_keys_order_by_score_then_chunk_and_unpack():
    scores = np.array([[-2.0, -0.0, 0.0, 1e-30, 1.0, -1e-30, 3.5, 1.0]])
    keys = sortable(scores, np.arange(8))
    assert np.argsort(keys[0]).tolist() == [0, 5, 1, 2, 3, 4, 7, 6]
    chunks, back = unpack(keys[0])
    assert chunks.tolist() == list(range(8))
    assert back.tolist() == scores[0].astype(np.float32).tolist()


def test_a_pool_without_an_eligible_chunk_has_no_rows():
    assert list(best_candidates(random_chunks(1, 4, 9), 2, Mining(max_candidates=3), with_target=True)) == []
    assert all(
        isinstance(block, Candidates)
        for block in best_candidates(random_chunks(1, 9, 9), 2, Mining(max_candidates=3), False)
    )
