"""Labels at a glance, while they are made; what they are worth in the end is in
reports/labels/statistics.py.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl


def best_by_k(labels: pl.DataFrame, split: str, chunk_tokens: int, ks: Iterable[int]) -> dict[int, float]:
    """The paper's Figure 5 at some k: mean over queries of the best s_t among the first k candidates, in nats
    a target token.

    A k that no query of the split has so many candidates for is left out.
    """
    part = labels.filter(pl.col("split") == split)
    most = part.select(pl.col("rank").max().fill_null(-1)).item() + 1
    best = {
        k: part.filter(pl.col("rank") < k).group_by("doc_id", "query_chunk").agg(pl.col("target_score").max())
        for k in ks
        if k <= most
    }
    return {
        k: float(rows["target_score"].to_numpy().mean(dtype="float64")) / chunk_tokens
        for k, rows in best.items()
    }


def positive_rates(labels: pl.DataFrame) -> dict[str, float]:
    """Share of candidates with s_t > 0 in each split."""
    rates = labels.group_by("split").agg((pl.col("target_score") > 0).mean().alias("rate"))
    return dict(rates.sort("split").iter_rows())
