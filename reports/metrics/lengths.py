"""How long the documents are: the histogram of the paper's Figure 3, from the chunks of a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

LOW, HIGH, BINS_A_DECADE = 2, 7, 4


def histogram(tokens: np.ndarray) -> list[dict[str, Any]]:
    """Documents by length in tokens [D]: bins of a quarter of a decade from 10^2 to 10^7, the first and last of them open.

    Each bin has `from` and `to` (log10 of tokens), `documents` and `share`; bins outside the range of the data are left out.
    """
    edges = np.arange(LOW * BINS_A_DECADE, HIGH * BINS_A_DECADE + 1) / BINS_A_DECADE
    counts, _ = np.histogram(np.clip(np.log10(np.maximum(tokens, 1)), LOW, HIGH), edges)
    used = np.flatnonzero(counts)
    if not len(used):
        return []
    return [
        {
            "from": float(edges[bin_]),
            "to": float(edges[bin_ + 1]),
            "documents": int(counts[bin_]),
            "share": float(counts[bin_] / len(tokens)),
        }
        for bin_ in range(used[0], used[-1] + 1)
    ]


def as_markdown(bins: Sequence[dict[str, Any]]) -> str:
    """The histogram as a table with a bar a row."""
    widest = max((bin_["share"] for bin_ in bins), default=1.0)
    rows = []
    for bin_ in bins:
        tokens = f"{10 ** bin_['from']:,.0f} - {10 ** bin_['to']:,.0f}"
        rows.append(f"| {tokens} | {bin_['documents']:,} | {bin_['share']:.1%} | {'█' * round(20 * bin_['share'] / widest)} |")
    return "\n".join(["| tokens | documents | share | |", "|---|---:|---:|---|", *rows])
