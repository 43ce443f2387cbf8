"""Retrieval against gold: Precision@2, Recall@10 and nDCG@20 (paper Table 3).

Gold is what the reference LM scored: the positive candidates (s_t > 0) among the S scored. The ranked list is over all eligible chunks,
and a chunk that was not scored counts as not relevant. Each figure therefore stands beside its chance value, a random order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from data_contracts.eligibility import last_eligible

HIGHEST_RELEVANCE = 8.0  # nats per token
Query = tuple[str, int]


@dataclass(frozen=True)
class Gold:
    """The positive chunks of one query, with the gain of each."""

    gains: dict[int, float]


def gold_of(labels: pa.Table, split: str, chunk_tokens: int) -> dict[Query, Gold]:
    """Gold of every scored query of a split; gain is 2^min(t, 8) - 1 with t = s_t per target token."""
    gold: dict[Query, Gold] = {}
    columns = (labels.column(name).to_pylist() for name in ("doc_id", "split", "query_chunk", "candidate_chunk", "target_score"))
    for doc_id, where, query, candidate, score in zip(*columns, strict=True):
        if where == split:
            entry = gold.setdefault((doc_id, query), Gold({}))
            if score > 0:
                entry.gains[candidate] = 2.0 ** min(score / chunk_tokens, HIGHEST_RELEVANCE) - 1.0
    return gold


def discounted(gains: list[float]) -> float:
    """Sum of gain / log2(2 + rank), ranks from 0."""
    return float(sum(gain / np.log2(2 + rank) for rank, gain in enumerate(gains)))


def measure(rankings: dict[Query, np.ndarray], gold: dict[Query, Gold]) -> dict:
    """Mean figures over the queries that have gold; queries without a positive count for precision only."""
    precision, recall, ndcg = list[float](), list[float](), list[float]()
    for query, entry in gold.items():
        if query not in rankings:
            continue
        ranking = rankings[query].tolist()
        precision.append(sum(chunk in entry.gains for chunk in ranking[:2]) / 2)
        if entry.gains:
            recall.append(sum(chunk in entry.gains for chunk in ranking[:10]) / len(entry.gains))
            ideal = discounted(sorted(entry.gains.values(), reverse=True)[:20])
            ndcg.append(discounted([entry.gains.get(chunk, 0.0) for chunk in ranking[:20]]) / ideal)
    return {
        "precision_at_2": _mean(precision),
        "recall_at_10": _mean(recall),
        "ndcg_at_20": _mean(ndcg),
        "queries": len(precision),
        "queries_with_positive": len(recall),
    }


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def random_rankings(queries: list[Query], stride_chunks: int, seed: int = 0) -> dict[Query, np.ndarray]:
    """A random order of each query's eligible chunks: what chance gets."""
    generator = np.random.default_rng(seed)
    return {query: generator.permutation(max(0, last_eligible(query[1], stride_chunks) + 1)) for query in queries}


def recency_rankings(queries: list[Query], stride_chunks: int) -> dict[Query, np.ndarray]:
    """The nearest eligible chunks first."""
    return {query: np.arange(last_eligible(query[1], stride_chunks), -1, -1)[:20] for query in queries}
