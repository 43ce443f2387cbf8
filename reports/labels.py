"""What the labels look like: the paper's Figure 5 and positive rates. Whether they are fit to train on is in reports/gates.py."""

from __future__ import annotations

import numpy as np
import polars as pl

from reports.perplexity import interval


def best_by_k(labels: pl.DataFrame, split: str, chunk_tokens: int, samples: int) -> list[dict]:
    """Mean over queries of the best s_t among the first k candidates, in nats per target token, with a bootstrap over documents.

    It rises with k even for pure noise, so it has to be read beside the positive rate by rank.
    """
    part = labels.filter(pl.col("split") == split)
    if part.is_empty():
        return []
    rows = []
    for k in range(1, int(part["rank"].to_numpy().max()) + 2):  # type: ignore[operator]
        best = part.filter(pl.col("rank") < k).group_by("doc_id", "query_chunk").agg(pl.col("target_score").max() / chunk_tokens)
        by_document = best.group_by("doc_id", maintain_order=True).agg(pl.col("target_score").sum(), pl.len()).sort("doc_id")
        total, count = by_document["target_score"].to_numpy(), by_document["len"].to_numpy()
        drawn = _draws(len(count), samples)
        means = total[drawn].sum(axis=1) / count[drawn].sum(axis=1)
        low, high = interval(means)
        rows.append({"k": k, "mean": float(total.sum() / count.sum()), "low": low, "high": high, "random": None})
    return rows


def _draws(count: int, samples: int):
    return np.random.default_rng(0).integers(count, size=(samples, count))


def positive_by_rank(labels: pl.DataFrame, split: str) -> list[dict]:
    """Share of candidates with s_t > 0 at each BM25 rank, from 1."""
    table = (
        labels.filter(pl.col("split") == split)
        .group_by("rank")
        .agg((pl.col("target_score") > 0).mean().alias("rate"), pl.len().alias("pairs"))
        .sort("rank")
    )
    return [{"rank": rank + 1, "rate": rate, "pairs": pairs} for rank, rate, pairs in table.iter_rows()]


def positive_rates(labels: pl.DataFrame) -> dict[str, float]:
    """Share of candidates with s_t > 0 in each split."""
    rates = labels.group_by("split").agg((pl.col("target_score") > 0).mean().alias("rate"))
    return dict(rates.sort("split").iter_rows())
