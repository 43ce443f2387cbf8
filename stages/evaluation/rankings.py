"""Who ranks the earlier chunks of a document for an evaluation: the system's own retriever, BM25 for RETRO,
chance or place.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.documents import document_runs
from data_contracts.eligibility import last_eligible
from data_contracts.evaluations import RANKING_LENGTH


class Ranking(NamedTuple):
    """The best 20 eligible chunks of each query chunk, best first, and their scores; -1 and 0 where there are
    fewer.
    """

    ids_CR: np.ndarray
    scores_CR: np.ndarray

    @classmethod
    def empty(cls, chunks: int) -> Ranking:
        """Nothing found for any of `chunks` queries."""
        return cls(
            np.full((chunks, RANKING_LENGTH), -1, np.int32), np.zeros((chunks, RANKING_LENGTH), np.float32)
        )


class Rankings(NamedTuple):
    """The ranking of all earlier eligible chunks, and that of the last ones alone, as many as a training
    sequence has.
    """

    best: Ranking
    near: Ranking

    @classmethod
    def empty(cls, chunks: int) -> Rankings:
        """Nothing found for any of `chunks` queries."""
        return cls(Ranking.empty(chunks), Ranking.empty(chunks))

    def rows(self, queries: slice) -> Rankings:
        """Those of some queries."""
        return Rankings(*(Ranking(*(values[queries] for values in ranking)) for ranking in self))

    def put(self, begin: int, found: Rankings) -> None:
        """Write those of the queries from `begin` on; what lies behind the last is dropped."""
        for ours, theirs in zip(self, found, strict=True):
            for target, values in zip(ours, theirs, strict=True):
                target[begin : begin + len(values)] = values[: max(0, len(target) - begin)]


def bm25_rankings(candidates: pa.Table, reach: int) -> dict[str, Rankings]:
    """doc_id -> BM25 rankings for query c_i alone; the near ones are those of the mined candidates that lie
    within `reach` chunks.
    """
    rows = candidates.filter(pc.equal(candidates.column("query_form"), "q"))
    query, chunk, score = (
        rows.column(name).to_numpy() for name in ("query_chunk", "candidate_chunk", "bm25")
    )
    found = {}
    for doc_id, begin, end in document_runs(rows.column("doc_id")):
        document, near = (
            slice(begin, end),
            begin + np.flatnonzero(chunk[begin:end] >= query[begin:end] - reach),
        )
        found[doc_id] = Rankings(
            *(_in_order(query[rows], chunk[rows], score[rows]) for rows in (document, near))
        )
    return found


def _in_order(query: np.ndarray, chunk: np.ndarray, score: np.ndarray) -> Ranking:
    """Rankings from rows sorted by query, then from best to worst."""
    ranking = Ranking.empty(int(query.max(initial=-1)) + 1)
    rank = np.arange(len(query)) - np.searchsorted(query, query)
    kept = rank < RANKING_LENGTH
    ranking.ids_CR[query[kept], rank[kept]] = chunk[kept]
    ranking.scores_CR[query[kept], rank[kept]] = score[kept]
    return ranking


def random_rankings(doc_id: str, chunks: int, stride_chunks: int, reach: int) -> Rankings:
    """Rankings by chance, without scores; a function of the document and the query chunk alone."""
    rankings = Rankings.empty(chunks)
    for query in range(chunks):
        eligible = max(0, int(last_eligible(query, stride_chunks)) + 1)
        drawn = np.random.default_rng((zlib.crc32(doc_id.encode()), query)).permutation(eligible)
        for ranking, ids in ((rankings.best, drawn), (rankings.near, drawn[drawn >= query - reach])):
            ranking.ids_CR[query, : len(ids)] = ids[:RANKING_LENGTH]
    return rankings


def recency_rankings(chunks: int, stride_chunks: int, reach: int) -> Rankings:
    """Rankings by place alone, the latest eligible chunk first; their scores are 0."""
    rankings = Rankings.empty(chunks)
    for query in range(chunks):
        latest = np.arange(int(last_eligible(query, stride_chunks)), -1, -1)[:RANKING_LENGTH]
        for ranking, ids in ((rankings.best, latest), (rankings.near, latest[latest >= query - reach])):
            ranking.ids_CR[query, : len(ids)] = ids
    return rankings
