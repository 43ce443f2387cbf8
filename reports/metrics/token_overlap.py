"""Do retrieved chunks share words with the query, or with what comes next? The paper's Figure 4.

Overlap is the number of distinct token ids that two chunks have in common. The paper speaks of the chunk that
was retrieved, and its figures of 12 to 22 for chunks of 64 tokens fit one chunk, so chunk j alone is
compared; j with its continuation j + 1, which the model reads too, stands beside it for the target.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from data_contracts.evaluations import OWN
from reports.metrics.evaluation_rows import Evaluations
from reports.metrics.resampling import Estimate, Sums

SIDES = ("query", "target", "target_with_continuation")


@dataclass(frozen=True)
class OverlapFigures:
    """Mean distinct tokens that the first neighbour shares with the query chunk and with the target, over so
    many `chunks`.
    """

    run: str
    system: str
    chunks: int
    query: Estimate
    target: Estimate
    target_with_continuation: Estimate


def overlap_of(run: str) -> str:
    """The name of a run's sums of overlaps."""
    return f"overlap of {run}"


def compared_of(run: str) -> str:
    """The name of the number of chunks that they are sums over."""
    return f"chunks compared of {run}"


def overlap_sums(evaluations: Evaluations, tokens: pl.DataFrame, chunk_tokens: int) -> dict[str, np.ndarray]:
    """By name for every run that reads neighbours: overlaps [B, 3] by `SIDES`, summed over the [B, 1] chunks
    with a first neighbour and a full target. `tokens`: doc_id, chunk, token_ids."""
    found = dict[str, np.ndarray]()
    for run in evaluations.readers():
        sums_B4 = _overlaps(evaluations, run, tokens, chunk_tokens)
        found |= {compared_of(run): sums_B4[:, :1], overlap_of(run): sums_B4[:, 1:]}
    return found


def _overlaps(evaluations: Evaluations, run: str, tokens: pl.DataFrame, chunk_tokens: int) -> np.ndarray:
    first = evaluations.frames[run, OWN]["retrieved"].list.first()
    rows = (
        evaluations.chunks.select("doc_id", "chunk", "tokens")
        .with_columns(first.alias("first"))
        .with_row_index("row")
    )
    rows = rows.filter(pl.col("first").is_not_null() & (pl.col("tokens") == chunk_tokens))
    for name, chunk in (
        ("query", pl.col("chunk")),
        ("target", pl.col("chunk") + 1),
        ("j", pl.col("first")),
        ("j_1", pl.col("first") + 1),
    ):
        side = tokens.select(
            "doc_id", pl.col("chunk").cast(pl.Int32).alias("at"), pl.col("token_ids").alias(name)
        )
        rows = rows.with_columns(chunk.cast(pl.Int32).alias("at")).join(
            side, on=["doc_id", "at"], how="left", maintain_order="left"
        )
    pair = pl.col("j").list.concat(pl.col("j_1"))
    shared = rows.select(
        "row",
        pl.col("j").list.set_intersection("query").list.len().alias("query"),
        pl.col("j").list.set_intersection("target").list.len().alias("target"),
        pair.list.set_intersection("target").list.len().alias("target_with_continuation"),
    )
    sums_R4 = np.zeros((len(evaluations.chunks), 1 + len(SIDES)))
    sums_R4[shared["row"].to_numpy()] = np.column_stack(
        [np.ones(len(shared)), *(shared[side].to_numpy() for side in SIDES)]
    )
    return evaluations.by_block(*sums_R4.T)


def overlap_figures(evaluations: Evaluations, sums: Sums) -> list[OverlapFigures]:
    """A row a run that reads neighbours."""
    rows = []
    for run in evaluations.readers():
        means = {
            side: sums.ratio(overlap_of(run), compared_of(run), place) for place, side in enumerate(SIDES)
        }
        rows.append(
            OverlapFigures(run, evaluations.systems[run], int(sums.total(compared_of(run))[0]), **means)
        )
    return rows
