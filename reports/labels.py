"""What the labels are worth: the paper's Figure 5, positive rates, and simple gates that catch broken supervision."""

from __future__ import annotations

import numpy as np
import polars as pl

from reports.perplexity import interval

FEWEST_POSITIVE, MOST_POSITIVE = 0.02, 0.60
MOST_SHIFT = 1.3
LEAST_SPLIT_HALF = 0.2


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


def split_half_correlation(labels: pl.DataFrame, split: str) -> float | None:
    """Correlation, within queries, of s_t measured on the first and on the second half of the target: near 0 means labels are noise."""
    halves = labels.filter(pl.col("split") == split).select(
        "doc_id",
        "query_chunk",
        *((pl.col("candidate_halves").arr.get(half) - pl.col("local_halves").arr.get(half)).alias(f"half_{half}") for half in (0, 1)),
    )
    centred = halves.select(
        (pl.col(f"half_{half}") - pl.col(f"half_{half}").mean().over("doc_id", "query_chunk")).alias(f"half_{half}") for half in (0, 1)
    )
    value = centred.select(pl.corr("half_0", "half_1")).item()
    return None if value is None or value != value else float(value)


def weaknesses(labels: pl.DataFrame, split: str) -> list[str]:
    """A sentence for every gate that the labels fail; labels that fail may still train a model, but prove nothing."""
    rates, found = positive_rates(labels), list[str]()
    for name, rate in rates.items():
        if not FEWEST_POSITIVE <= rate <= MOST_POSITIVE:
            found.append(
                f"Weak labels: {rate:.1%} of the candidates of {name} are positive; between {FEWEST_POSITIVE:.0%} and {MOST_POSITIVE:.0%} "
                "is expected. The reference LM is probably too small or too little trained."
            )
    if "train" in rates and split in rates and min(rates["train"], rates[split]) > 0:
        shift = max(rates["train"], rates[split]) / min(rates["train"], rates[split])
        if shift > MOST_SHIFT:
            found.append(
                f"Labels of train and {split} differ: their positive rates are {shift:.2f} times apart (limit {MOST_SHIFT}). The "
                "reference LM has memorised train text, or the pools differ much in size."
            )
    correlation = split_half_correlation(labels, split)
    if correlation is not None and correlation < LEAST_SPLIT_HALF:
        found.append(
            f"Noisy labels: the two halves of a target agree on the candidates with a within-query correlation of only {correlation:.2f} "
            f"(limit {LEAST_SPLIT_HALF})."
        )
    return found
