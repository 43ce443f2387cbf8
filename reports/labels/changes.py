"""What changed between two versions of labels, as sums over a part of the corpus, which add up, and as
figures made of such sums.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from data_contracts import counting
from reports.labels.version_changes import (
    BestChange,
    Change,
    Flips,
    FlipShares,
    Held,
    PartChanges,
    RankCorrelation,
    Rates,
)
from reports.metrics.rank_correlation import rank_correlations

QUERY = ["place", "query_chunk"]


def best_candidates(rows: pl.DataFrame) -> pl.DataFrame:
    """The best candidate of each query and its s_t; rows come by rank, so of equal ones the first of BM25."""
    best = pl.col("candidate_chunk", "target_score").get(pl.col("target_score").arg_max())
    return rows.group_by(QUERY, maintain_order=True).agg(best)


def change_sums(pairs: pl.DataFrame, queries: pl.DataFrame) -> pl.DataFrame:
    """Sums by split.

    Args:
        pairs: the common pairs, those of a query together: split, place, query_chunk, target_score,
            target_score_b, change.
        queries: the best candidates of the common queries: split, candidate_chunk, candidate_chunk_b, change.
    """
    return pl.concat([_of_pairs(pairs), _of_queries(queries), _of_orders(pairs)], how="diagonal")


def _of_pairs(pairs: pl.DataFrame) -> pl.DataFrame:
    before, after, change = pl.col("target_score") > 0, pl.col("target_score_b") > 0, pl.col("change")
    return pairs.group_by("split").agg(
        pairs=counting.rows(),
        to_positive=counting.how_many(~before & after),
        to_negative=counting.how_many(before & ~after),
        change=counting.in_order(change),
        absolute_change=counting.in_order(change.abs()),
    )


def _of_queries(queries: pl.DataFrame) -> pl.DataFrame:
    change = pl.col("change")
    return queries.group_by("split").agg(
        queries=counting.rows(),
        same_best=counting.how_many(pl.col("candidate_chunk") == pl.col("candidate_chunk_b")),
        higher=counting.how_many(change > 0),
        lower=counting.how_many(change < 0),
        best_change=counting.in_order(change),
        absolute_best_change=counting.in_order(change.abs()),
    )


def _of_orders(pairs: pl.DataFrame) -> pl.DataFrame:
    """Sums of the rank correlations of the queries that have one."""
    row = pairs.select(pl.struct(QUERY).rle_id()).to_series().to_numpy().astype(np.int64)
    first = np.flatnonzero(np.diff(row, prepend=-1))
    column = np.arange(len(row)) - first[row]
    scores = np.full((2, len(first), column.max(initial=-1) + 1), np.nan, np.float32)
    for side, name in enumerate(("target_score", "target_score_b")):
        scores[side, row, column] = pairs[name].to_numpy()
    spearman, kendall = rank_correlations(*scores)
    orders = pl.DataFrame({"split": pairs["split"].gather(first), "spearman": spearman, "kendall": kendall})
    return (
        orders.filter(pl.col("spearman").is_not_nan())
        .group_by("split")
        .agg(counting.rows().alias("ordered"), counting.in_order(pl.col("spearman", "kendall")))
    )


def figures(a: pl.DataFrame, b: pl.DataFrame, rows: pl.DataFrame) -> PartChanges:
    """The figures of `compare` for a part of the corpus: its documents in both versions, and its rows of
    `change_sums`.
    """
    sums = rows.sum().row(0, named=True)

    def over(count: str, *names: str) -> list[float | None]:
        return [sums[name] / sums[count] if sums[count] else None for name in names]

    def held(name: str) -> Held:
        return Held(sums[name], a[name].sum() - sums[name], b[name].sum() - sums[name])

    def rate(documents: pl.DataFrame) -> float | None:
        return int(documents["positive"].sum()) / int(documents["pairs"].sum()) if len(documents) else None

    (same,) = over("queries", "same_best")
    return PartChanges(
        queries=held("queries"),
        pairs=held("pairs"),
        positive_rate=Rates(rate(a), rate(b)),
        score_change=Change(*over("pairs", "change", "absolute_change")),
        flips=Flips(sums["to_positive"], sums["to_negative"]),
        flip_share=FlipShares(*over("pairs", "to_positive", "to_negative")),
        rank_correlation=RankCorrelation(sums["ordered"], *over("ordered", "spearman", "kendall")),
        same_best=same,
        best_change=BestChange(*over("queries", "best_change", "absolute_best_change", "higher", "lower")),
    )
