"""What went into a corpus and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from data_contracts import counting
from reports.metrics.chunk_sizes import ChunkSizes
from reports.metrics.lengths import LengthBin, histogram


@dataclass(frozen=True)
class SplitSize:
    """How much a split has; `median_tokens` is that of the lengths of its documents."""

    documents: int
    chunks: int
    tokens: int
    median_tokens: float


@dataclass(frozen=True)
class CorpusFigures:
    """What went in (`inputs`), what was kept, how much was `quarantined` by reason, what is in each split,
    and lengths of documents.
    """

    inputs: int
    documents_kept: int
    quarantined: Mapping[str, int]
    splits: Mapping[str, SplitSize]
    vocabulary: int
    geometry: ChunkSizes
    lengths: Sequence[LengthBin]


def corpus_figures(
    documents: int, quarantine: pl.DataFrame, chunks: pl.DataFrame, geometry: ChunkSizes, vocabulary: int
) -> CorpusFigures:
    """Inputs, splits and document lengths. `chunks`: doc_id, split, tokens; `quarantine`: reason."""
    reasons = dict(quarantine.group_by("reason").agg(counting.rows()).sort("reason").iter_rows())
    splits = chunks.group_by("split").agg(
        documents=counting.different("doc_id"), chunks=counting.rows(), tokens=counting.total("tokens")
    )
    lengths = chunks.group_by("doc_id").agg(pl.col("split").first(), tokens=counting.total("tokens"))
    medians = lengths.group_by("split").agg(pl.col("tokens").median().alias("median_tokens"))
    sizes = splits.join(medians, on="split").sort("split").iter_rows(named=True)
    return CorpusFigures(
        inputs=documents + len(quarantine),
        documents_kept=documents,
        quarantined=reasons,
        splits={row.pop("split"): SplitSize(**row) for row in sizes},
        vocabulary=vocabulary,
        geometry=geometry,
        lengths=histogram(lengths["tokens"].to_numpy()),
    )
