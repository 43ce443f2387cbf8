"""BM25 within one document, evaluated for all chunks at once as sparse products.

rank-bm25's `BM25Okapi` is the definition: its idf with the epsilon floor, its document lengths and its average are used as they are;
only its query loop, one Python dictionary look-up per token and chunk, is replaced. Terms are token ids; a token that a query repeats
counts as often as it occurs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from rank_bm25 import BM25Okapi
from scipy import sparse

from data_contracts.eligibility import last_eligible
from stages.parameters import Mining


def term_counts(chunks_CM: np.ndarray) -> sparse.csr_matrix:
    """[C, T] occurrences of each of the pool's T distinct tokens (in increasing order) in each of C chunks of M tokens."""
    count, size = chunks_CM.shape
    terms, columns = np.unique(chunks_CM, return_inverse=True)
    rows = np.repeat(np.arange(count), size)
    matrix = sparse.csr_matrix((np.ones(count * size), (rows, columns.ravel())), shape=(count, len(terms)))
    matrix.sum_duplicates()
    return matrix


def pool_idf(chunks_CM: np.ndarray, mining: Mining) -> np.ndarray:
    """[T] idf over the whole pool, from rank-bm25 itself."""
    okapi = BM25Okapi(chunks_CM.tolist(), k1=mining.k1, b=mining.b, epsilon=mining.epsilon)
    return np.array([okapi.idf[term] for term in np.unique(chunks_CM).tolist()])


def prefix_idf(frequency_T: np.ndarray, chunks: int, epsilon: float) -> np.ndarray:
    """[T] the idf that rank-bm25 would have if the pool were its first `chunks` chunks; 0 for terms that do not occur there yet."""
    known = frequency_T > 0
    idf = np.where(known, np.log(chunks - frequency_T + 0.5) - np.log(frequency_T + 0.5), 0.0)
    floor = epsilon * idf.sum() / max(known.sum(), 1)
    return np.where(idf < 0, floor, idf)


def best_candidates(
    chunks_CM: np.ndarray, stride_chunks: int, mining: Mining, with_target: bool
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(query chunk, its best candidates, their scores) for every query of one pool of full chunks, in query order.

    With the target (labels) the query is chunks i and i + 1 and idf is the pool's; without it (test time) the query is chunk i and idf
    knows only the chunks that are eligible then, because the future must not show. All chunks have the same length, so BM25's length
    normalisation is 1. Ties go to the nearer chunk. Memory is stride x C scores, never C x C.
    """
    counts = term_counts(chunks_CM)
    frequency = counts.copy()
    frequency.data[:] = 1.0
    weights = counts.copy()
    weights.data = counts.data * (mining.k1 + 1) / (counts.data + mining.k1)
    queries = (counts[:-1] + counts[1:]).tocsr() if with_target else counts
    idf = pool_idf(chunks_CM, mining) if with_target and len(chunks_CM) > 1 else None
    seen, seen_chunks = np.zeros(counts.shape[1]), 0
    for begin in range(0, queries.shape[0], stride_chunks):
        eligible = int(last_eligible(begin, stride_chunks)) + 1
        if eligible <= 0:
            continue
        if not with_target:
            seen += np.asarray(frequency[seen_chunks:eligible].sum(axis=0)).ravel()
            seen_chunks = eligible
            idf = prefix_idf(seen, eligible, mining.epsilon)
        block = queries[begin : begin + stride_chunks].toarray() * idf
        # Ranked as stored: in float64 the order of summation would decide between chunks that BM25 calls equal.
        scores = np.asarray(weights[:eligible] @ block.T).T.astype(np.float32)
        for offset, row in enumerate(scores):
            order = eligible - 1 - np.argsort(-row[::-1], kind="stable")[: mining.max_candidates]
            yield begin + offset, order, row[order]
