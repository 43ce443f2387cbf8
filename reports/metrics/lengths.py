"""How long the documents are: the histogram of the paper's Figure 3, from the chunks of a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LOW, HIGH, BINS_A_DECADE = 2, 7, 4


@dataclass(frozen=True)
class LengthBin:
    """From `start` to `end` (log10 of tokens): how many `documents`, and their `share` of all."""

    start: float
    end: float
    documents: int
    share: float


def histogram(tokens: np.ndarray) -> list[LengthBin]:
    """Documents by length in tokens [D]: bins of a quarter of a decade from 10^2 to 10^7, the first and last
    of them open.

    Bins outside the range of the data are left out.
    """
    edges = np.arange(LOW * BINS_A_DECADE, HIGH * BINS_A_DECADE + 1) / BINS_A_DECADE
    counts, _ = np.histogram(np.clip(np.log10(np.maximum(tokens, 1)), LOW, HIGH), edges)
    used = np.flatnonzero(counts)
    if not len(used):
        return []
    return [
        LengthBin(
            float(edges[bin_]), float(edges[bin_ + 1]), int(counts[bin_]), float(counts[bin_] / len(tokens))
        )
        for bin_ in range(used[0], used[-1] + 1)
    ]


def as_markdown(bins: Sequence[LengthBin]) -> str:
    """The histogram as a table with a bar a row."""
    widest = max((bin_.share for bin_ in bins), default=1.0)
    rows = []
    for bin_ in bins:
        tokens = f"{10**bin_.start:,.0f} - {10**bin_.end:,.0f}"
        rows.append(
            f"| {tokens} | {bin_.documents:,} | {bin_.share:.1%} | {'█' * round(20 * bin_.share / widest)} |"
        )
    return "\n".join(["| tokens | documents | share | |", "|---|---:|---:|---|", *rows])
