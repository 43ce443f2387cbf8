"""BM25 within one pool of chunks: every query and all that it may retrieve, as one causal sparse product in
blocks of queries.

rank-bm25's `BM25Okapi` is the definition: its idf with the epsilon floor, its document lengths and their
average are used as they are; only its query loop, one Python dictionary look-up per token and chunk, is
replaced. Terms are token ids; a token that a query repeats counts as often as it occurs.

    score(q, c) = sum over tokens t of q: idf(t) tf(t, c) (k1 + 1) / (tf(t, c) + k1 (1 - b + b |c| / avgdl))
    idf(t) = log(C - n(t) + 0.5) - log(n(t) + 0.5), and where that is negative epsilon times the mean idf

Shapes: C chunks of M tokens in the pool, T distinct tokens, B queries in a block, S window strides in a
block, W chunks in a tile of candidates, R (query, candidate) pairs, k = `mining.max_candidates`. Memory is
that of the sparse counts, [B, T] and [B, W]: never [C, C].
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from rank_bm25 import BM25Okapi
from scipy import sparse

from data_contracts.eligibility import last_eligible
from stages.parameters import Mining

BLOCK_QUERIES = 64
# chunks scored at once: 2 MiB with a block of queries, which stays in the cache until its best are found
TILE = 4096
NOT_A_CANDIDATE = np.iinfo(np.int64).min


class Candidates(NamedTuple):
    """The best candidates of a run of queries, by query, then best first. Chunks count from the start of the
    pool.
    """

    query_R: np.ndarray  # int32
    candidate_R: np.ndarray  # int32
    rank_R: np.ndarray  # int16, from 0 for each query
    score_R: np.ndarray  # float32


class PoolOkapi(BM25Okapi):
    """rank-bm25 on the [C, T] `term_counts` of a pool: the same numbers without a Python dictionary a chunk,
    and no `get_scores`.
    """

    def _initialize(self, corpus: sparse.csr_matrix) -> dict[int, int]:
        self.corpus_size = corpus.shape[0]
        self.doc_len = np.asarray(corpus.sum(axis=1)).ravel()
        self.avgdl = self.doc_len.sum() / self.corpus_size
        return dict(enumerate(np.bincount(corpus.indices, minlength=corpus.shape[1]).tolist()))

    @property
    def idf_T(self) -> np.ndarray:
        """[T] idf over the whole pool."""
        return np.fromiter(self.idf.values(), float, len(self.idf))

    def weights(self, counts: sparse.csr_matrix) -> sparse.csr_matrix:
        """[C, T] what one occurrence of a term in a query adds to a chunk's score, but for idf."""
        norm = np.repeat(self.k1 * (1 - self.b + self.b * self.doc_len / self.avgdl), np.diff(counts.indptr))
        return sparse.csr_matrix(
            (counts.data * (self.k1 + 1) / (counts.data + norm), counts.indices, counts.indptr), counts.shape
        )


class EligibleIdf:
    """idf as rank-bm25 would have it if the pool ended where a query's eligible chunks end; asked for in
    increasing order.
    """

    def __init__(self, counts: sparse.csr_matrix, epsilon: float) -> None:
        self._counts, self._epsilon = counts, epsilon
        self._chunks, self._frequency_T = 0, np.zeros(counts.shape[1], np.int64)
        self._log = np.array([math.log(count + 0.5) for count in range(counts.shape[0] + 1)])

    def rows(self, ends_S: np.ndarray) -> np.ndarray:
        """[S, T] idf over the first `ends_S` (increasing, positive) chunks of the pool; 0 for terms that do
        not occur there.
        """
        added = self._counts[self._chunks : ends_S[-1]]
        chunk = np.repeat(np.arange(self._chunks, ends_S[-1]), np.diff(added.indptr))
        cells = np.searchsorted(ends_S, chunk, side="right") * len(self._frequency_T) + added.indices
        frequency = np.bincount(cells, minlength=len(ends_S) * len(self._frequency_T)).reshape(
            len(ends_S), -1
        )
        frequency[0] += self._frequency_T
        frequency = np.cumsum(frequency, axis=0)
        self._chunks, self._frequency_T = ends_S[-1], frequency[-1]
        known = frequency > 0
        idf = np.where(known, self._log[ends_S[:, None] - frequency] - self._log[frequency], 0.0)
        # A cumulative sum adds strictly in order, so terms that only the future knows do not show even in the
        # last bit.
        floor = self._epsilon * (np.cumsum(idf, axis=1)[:, -1:] / known.sum(axis=1, keepdims=True))
        return np.where(idf < 0, floor, idf)


def term_counts(chunks_CM: np.ndarray) -> sparse.csr_matrix:
    """[C, T] occurrences of each of the pool's distinct tokens in each chunk; float64.

    Terms stand in the order of their first occurrence, as in rank-bm25: sums over terms are then its sums to
    the last bit, and terms that only later chunks hold come last.
    """
    tokens = chunks_CM.ravel()
    seen_at = np.full(int(tokens.max()) + 1, -1)
    # of repeated indices the last assignment stays: the first occurrence
    seen_at[tokens[::-1]] = np.arange(len(tokens) - 1, -1, -1)
    known = np.flatnonzero(seen_at >= 0)
    term_of = np.empty(len(seen_at), np.int32)
    term_of[known[np.argsort(seen_at[known])]] = np.arange(len(known))
    terms_CM = np.sort(term_of[chunks_CM], axis=1)
    first = np.ones(terms_CM.shape, bool)
    first[:, 1:] = terms_CM[:, 1:] != terms_CM[:, :-1]
    begin = np.flatnonzero(first)
    counts = np.diff(begin, append=terms_CM.size).astype(float)
    rows = np.append(0, np.cumsum(np.count_nonzero(first, axis=1)))
    return sparse.csr_matrix((counts, terms_CM.ravel()[begin], rows), shape=(len(chunks_CM), len(known)))


class _Pool:
    """One pool made ready for queries, which must come in increasing order."""

    def __init__(self, chunks_CM: np.ndarray, mining: Mining, with_target: bool) -> None:
        self._mining, self._with_target = mining, with_target
        self._counts = term_counts(chunks_CM)
        okapi = PoolOkapi(self._counts, k1=mining.k1, b=mining.b, epsilon=mining.epsilon)
        # All chunks are full, so the average length is the same over any part of the pool and the weights
        # hold for every idf scope.
        weights = okapi.weights(self._counts)
        self._tiles = [weights[first : first + TILE] for first in range(0, len(chunks_CM), TILE)]
        whole = with_target and mining.idf_scope == "document"
        self._idf = okapi.idf_T if whole else EligibleIdf(self._counts, mining.epsilon)

    def _asked(self, queries_B: np.ndarray, ends_B: np.ndarray) -> sparse.csr_matrix:
        """[B, T] occurrences of each term in each query, times the idf that holds for the query."""
        first, stop = queries_B[0], queries_B[-1] + 1
        terms = self._counts[first:stop]
        if self._with_target:
            terms = terms + self._counts[first + 1 : stop + 1]
        if isinstance(self._idf, EligibleIdf):
            ends_S, stride_B = np.unique(ends_B, return_inverse=True)
            factors = self._idf.rows(ends_S)[np.repeat(stride_B, np.diff(terms.indptr)), terms.indices]
        else:
            factors = self._idf[terms.indices]
        return sparse.csr_matrix((terms.data * factors, terms.indices, terms.indptr), terms.shape)

    def best(self, queries_B: np.ndarray, ends_B: np.ndarray) -> Candidates:
        """The best candidates of consecutive queries, each among chunks max(0, query - span) .. end - 1."""
        starts_B, k = np.maximum(queries_B - self._mining.max_span, 0), self._mining.max_candidates
        asked_TB = self._asked(queries_B, ends_B).T.toarray(order="C")
        parts = [np.empty((len(queries_B), 0), np.int64)]
        for first in range(starts_B[0] // TILE * TILE, ends_B[-1], TILE):
            weights = self._tiles[first // TILE]
            weights = weights if first + TILE <= ends_B[-1] else weights[: ends_B[-1] - first]
            chunks_W = np.arange(first, first + weights.shape[0])
            keys_BW = sortable((weights @ asked_TB).T, chunks_W)
            if first < starts_B[-1] or chunks_W[-1] >= ends_B[0]:
                keys_BW[(chunks_W < starts_B[:, None]) | (chunks_W >= ends_B[:, None])] = NOT_A_CANDIDATE
            parts.append(largest(keys_BW, k))
        best_Bk = largest(np.concatenate(parts, axis=1), k)
        row_R, rank_R = np.nonzero(best_Bk != NOT_A_CANDIDATE)
        candidate_R, score_R = unpack(best_Bk[row_R, rank_R])
        return Candidates(queries_B[row_R].astype(np.int32), candidate_R, rank_R.astype(np.int16), score_R)


def best_candidates(
    chunks_CM: np.ndarray, stride_chunks: int, mining: Mining, with_target: bool
) -> Iterator[Candidates]:
    """The `mining.max_candidates` best eligible chunks of every query of one pool of full chunks, in blocks
    in query order.

    With the target (labels) the query is chunks i and i + 1, and idf counts the pool or, by
    `mining.idf_scope`, the chunks that are eligible at that query. Without it (test time) the query is chunk
    i and idf always counts the eligible chunks only, because a perplexity may not see the future. Candidates
    lie at most `mining.max_span` chunks back; what idf counts does not depend on that. Scores are ranked as
    stored, in float32, and ties go to the nearer chunk. A query without a candidate has no row.

    `chunks_CM` holds token ids, C >= 1; `stride_chunks` is w of `data_contracts.eligibility`.
    """
    pool = _Pool(chunks_CM, mining, with_target)
    queries_Q = np.arange(len(chunks_CM) - with_target)
    ends_Q = last_eligible(queries_Q, stride_chunks) + 1
    for begin in range(int(np.searchsorted(ends_Q, 1)), len(queries_Q), BLOCK_QUERIES):
        block = slice(begin, begin + BLOCK_QUERIES)
        found = pool.best(queries_Q[block], ends_Q[block])
        if len(found.query_R):
            yield found


def sortable(scores_BW: np.ndarray, chunks_W: np.ndarray) -> np.ndarray:
    """int64 [B, W] keys that order like (score rounded to float32, chunk); no two of a row are equal.

    Rounding comes first: in float64 the order of summation would decide between chunks that BM25 calls equal.
    """
    bits = (scores_BW.astype(np.float32, order="C") + np.float32(0)).view(np.int32)
    keys = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64)
    keys <<= 32
    keys |= chunks_W
    return keys


def unpack(keys_R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(chunk int32, score float32) of `sortable` keys."""
    bits = (keys_R >> 32).astype(np.int32)
    return (keys_R & 0xFFFFFFFF).astype(np.int32), (bits ^ ((bits >> 31) & 0x7FFFFFFF)).view(np.float32)


def largest(keys_BW: np.ndarray, k: int) -> np.ndarray:
    """[B, min(k, W)] the largest keys of each row, falling; keys of a row differ, or are NOT_A_CANDIDATE.

    A wide row is cut into groups first: its k largest keys lie in the k groups with the largest maxima.
    """
    rows, width = keys_BW.shape
    group = math.isqrt(width // k)
    if group > 2:
        rest = width % group
        groups = keys_BW[:, rest:].reshape(rows, group, -1)
        best = np.argpartition(groups.max(axis=1), -k, axis=1)[:, None, -k:]
        keys_BW = np.concatenate(
            [keys_BW[:, :rest], np.take_along_axis(groups, best, axis=2).reshape(rows, -1)], axis=1
        )
    elif width <= k:
        return np.sort(keys_BW, axis=1)[:, ::-1]
    return np.sort(np.partition(keys_BW, -k, axis=1)[:, -k:], axis=1)[:, ::-1]
