"""What went into a corpus and what became of it."""

from __future__ import annotations

from typing import Any

import polars as pl

from data_contracts import counting
from reports.metrics.lengths import histogram


def corpus_figures(
    documents: int, quarantine: pl.DataFrame, chunks: pl.DataFrame, geometry: dict[str, int], vocabulary: int
) -> dict[str, Any]:
    """Inputs, splits and document lengths. `chunks`: doc_id, split, tokens; `quarantine`: reason."""
    reasons = dict(quarantine.group_by("reason").agg(counting.rows()).sort("reason").iter_rows())
    splits = chunks.group_by("split").agg(documents=counting.different("doc_id"), chunks=counting.rows(), tokens=counting.total("tokens"))
    lengths = chunks.group_by("doc_id").agg(pl.col("split").first(), tokens=counting.total("tokens"))
    medians = lengths.group_by("split").agg(pl.col("tokens").median().alias("median_tokens"))
    return {
        "inputs": documents + len(quarantine),
        "documents_kept": documents,
        "quarantined": reasons,
        "splits": {row.pop("split"): row for row in splits.join(medians, on="split").sort("split").iter_rows(named=True)},
        "vocabulary": vocabulary,
        "geometry": geometry,
        "lengths": histogram(lengths["tokens"].to_numpy()),
    }
