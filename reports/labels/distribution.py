"""How scores are distributed: shares of bins, as many as a chart can show, made of the fine ones of the
statistics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from data_contracts.documents import SPLITS
from reports.html.charts import Line, figure, line_chart
from reports.html.formats import number, percent
from reports.html.markup import Html
from reports.labels.report import HistogramBin, SplitFigures
from reports.labels.sums import BIN

BARS = 40
Kind = Literal["pairs", "best"]
TAIL = 0.001  # share of the scores at either end that may lie beyond the drawing


def _places(rows: Sequence[HistogramBin], kind: Kind) -> list[tuple[int, int]]:
    """The number of each fine bin, 0 for the one that begins at a score of 0, and what it counts."""
    return [(round(row.start / BIN), row.pairs if kind == "pairs" else row.best) for row in rows]


def coarse(splits: Mapping[str, SplitFigures], kind: Kind) -> tuple[list[float], dict[str, list[int]], float]:
    """Lower edges and the width of bins in nats a token, and what they count by split.

    There are about `BARS`; the first and the last hold all that lies beyond them, about `TAIL` of the scores.
    """
    every = sorted(place for found in splits.values() for place in _places(found.histogram, kind))
    total, seen, inside = sum(n for _, n in every), 0, list[int]()
    for place, n in every:
        if seen + n > TAIL * total and seen < (1 - TAIL) * total:
            inside.append(place)
        seen += n
    low, high = (inside[0], inside[-1]) if inside else (0, 0)
    width = next(w for w in (1, 2, 5, 10, 20) if (high - low) / w < BARS)
    first, last = math.floor(low / width), math.floor(high / width)
    counts = {split: [0] * (last - first + 1) for split in splits}
    for split, found in splits.items():
        for place, n in _places(found.histogram, kind):
            counts[split][min(max(math.floor(place / width), first), last) - first] += n
    return [place * width * BIN for place in range(first, last + 1)], counts, width * BIN


def distribution(splits: Mapping[str, SplitFigures], kind: Kind, title: str, caption: str) -> Html:
    """The chart of `kind`: `pairs`, or the `best` of each query."""
    edges, counts, width = coarse(splits, kind)
    totals = {split: max(sum(values), 1) for split, values in counts.items()}
    shares = {split: [n / totals[split] for n in values] for split, values in counts.items()}
    lines = [
        Line(
            split,
            [(low + width / 2, 100 * share) for low, share in zip(edges, values, strict=True)],
            SPLITS.index(split),
        )
        for split, values in shares.items()
    ]
    names = [f"over {number(low)} to {number(low + width)}" for low in edges]
    rows = [
        [name, *(percent(values[place]) for values in shares.values())] for place, name in enumerate(names)
    ]
    ends = f" Bins of {width:g}; the first and the last hold all that is beyond."

    def draw(pixels: int) -> Html:
        x, y = "s_t, nats a target token", f"% of {'pairs' if kind == 'pairs' else 'queries'}"
        return line_chart(
            lines, title=title, x_label=x, y_label=y, width=pixels, zero=True, whole=False, reference=0.0
        )

    return figure(draw, [caption, ends], ["s_t", *splits], rows, width=550)
