"""What a label set holds, in a few figures, shard by shard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import polars as pl

from data_contracts import counting
from data_contracts.candidates import LABELS
from data_contracts.contract import read_columns
from data_contracts.documents import SPLITS
from reports.labels.label_set import LabelSet

FIRST = (1, 2, 5, 10, 20)
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
BINS = 100  # a nat; s_t is counted in hundredths


@dataclass(frozen=True)
class PartSummary:
    """A part of a label set: `candidates` is the most that a query has, `positive_rate` the share of pairs
    with s_t > 0, `best_score` by k the mean over queries of the best s_t of the first k (nats; None where no
    query has so many), `score_quantiles` those of s_t (nats, to 0.01)."""

    documents: int
    queries: int
    pairs: int
    candidates: int
    positive_rate: float
    best_score: Mapping[str, float | None]
    score_quantiles: Mapping[str, float]


@dataclass(frozen=True)
class DocumentSummary:
    """A document: `positive` pairs have s_t > 0, `best_mean` and `best_max` are of the best s_t of its
    queries (nats), `sparks` means of that along it."""

    doc_id: str
    source: str
    split: str
    chunks: int
    queries: int
    pairs: int
    positive: int
    best_mean: float
    best_max: float
    sparks: Sequence[float | None]


@dataclass(frozen=True)
class LabelSummary:
    """A label set: whose it is, `splits` with `all` and each split, and its documents with the most
    queries.
    """

    labels: str
    digest: str
    scorer: Mapping[str, object]
    chunk_tokens: int
    stride_chunks: int
    sequence_chunks: int
    splits: Mapping[str, PartSummary]
    documents: Sequence[DocumentSummary]


def summary(labels: LabelSet, documents: int) -> LabelSummary:
    """The figures of a label set and its `documents` documents with the most queries."""
    sums = pl.concat(
        [_of_shard(labels, shard) for shard in labels.documents["shard"].unique(maintain_order=True)]
    )
    splits = [split for split in SPLITS if split in set(labels.documents["split"])]
    parts = {"all": pl.lit(True), **{split: pl.col("split") == split for split in splits}}
    largest = labels.documents.sort("queries", descending=True, maintain_order=True).head(documents)
    names = [field.name for field in fields(DocumentSummary)]
    return LabelSummary(
        labels=str(labels.directory),
        digest=labels.digest,
        scorer=labels.scorer,
        chunk_tokens=labels.chunk_tokens,
        stride_chunks=labels.stride_chunks,
        sequence_chunks=labels.sequence_chunks,
        splits={
            name: _figures(labels.documents.filter(part), sums.filter(part)) for name, part in parts.items()
        },
        documents=[DocumentSummary(**row) for row in largest.select(names).iter_rows(named=True)],
    )


def _of_shard(labels: LabelSet, shard: str) -> pl.DataFrame:
    """Counts by split and `name`: best s_t of the first k (`best k`: sum and queries), s_t in hundredths
    (`score`: value and pairs).
    """
    table = read_columns(LABELS, labels.directory / shard, ["split", "rank", "target_score"])
    rows = pl.DataFrame(pl.from_arrow(table))
    rank, score = rows["rank"].to_numpy(), rows["target_score"].to_numpy().astype(np.float64)
    first = np.flatnonzero(rank == 0)
    queries = pl.DataFrame(
        {"split": rows["split"].gather(first), "candidates": np.diff(first, append=len(rank))}
    )
    best = {f"best {k}": np.maximum.reduceat(np.where(rank < k, score, -np.inf), first) for k in FIRST}
    of_queries = (
        queries.with_columns(**best)
        .unpivot(index=["split", "candidates"], variable_name="name")
        .group_by("split", "name")
        .agg(pl.col("candidates").max(), counting.in_order(pl.col("value")), count=counting.rows())
    )
    of_pairs = rows.select(
        "split", name=pl.lit("score"), value=(pl.col("target_score").cast(pl.Float64) * BINS).round() / BINS
    )
    counted = of_pairs.group_by("split", "name", "value").agg(count=counting.rows())
    return pl.concat([of_queries, counted], how="diagonal")


def _figures(documents: pl.DataFrame, sums: pl.DataFrame) -> PartSummary:
    pairs = documents["pairs"].sum()
    most = int(np.nanmax(sums["candidates"].to_numpy()))
    scores = sums.filter(pl.col("name") == "score").group_by("value").agg(pl.col("count").sum()).sort("value")
    below = scores["count"].cum_sum().to_numpy()
    places = [np.searchsorted(below, quantile * (below[-1] - 1), side="right") for quantile in QUANTILES]
    best = {}
    for k in FIRST:
        total, count = (
            sums.filter(pl.col("name") == f"best {k}")
            .select(pl.col("value").sum(), pl.col("count").sum())
            .row(0)
        )
        best[str(k)] = total / count if k <= most else None
    return PartSummary(
        documents=len(documents),
        queries=int(documents["queries"].sum()),
        pairs=int(pairs),
        candidates=most,
        positive_rate=int(documents["positive"].sum()) / int(pairs),
        best_score=best,
        score_quantiles={
            str(quantile): round(scores["value"][int(place)], 2)
            for quantile, place in zip(QUANTILES, places, strict=True)
        },
    )
