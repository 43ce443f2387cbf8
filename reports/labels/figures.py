"""The charts of the supervision report: a line a split with its 95 % interval, and behind each a table with a
column a split.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from data_contracts.documents import SPLITS
from reports.html.charts import Line, figure, line_chart
from reports.html.formats import Number, count, interval, number
from reports.html.markup import Html
from reports.labels.report import Rate, SplitFigures
from reports.metrics.resampling import Estimate

Splits = Mapping[str, SplitFigures]
Point = tuple[float, str, Estimate]


@dataclass(frozen=True)
class Words:
    """What a chart says: its title and axes, the first column of its table, and how to read it."""

    title: str
    x: str
    y: str
    column: str
    caption: str


def _chart(
    splits: Splits,
    points: Callable[[SplitFigures], Sequence[Point]],
    words: Words,
    *,
    scale: float = 1.0,
    digits: int,
    zero: bool = False,
    x_words: Callable[[float], str] | None = None,
) -> Html:
    """Estimates of every split: `points` gives (x, name in the table, estimate, a `Rate` with its pairs)."""
    lines, cells, names = list[Line](), dict[tuple[str, float], str](), dict[float, str]()
    for split, found in splits.items():
        line, band = list[tuple[float, Number]](), list[tuple[float, Number, Number]]()
        for x, name, row in points(found):
            value, low, high = (
                None if end is None else scale * end for end in (row.value, row.low, row.high)
            )
            line.append((x, value))
            band.append((x, low, high))
            names[x] = name
            of = f" of {count(row.pairs)}" if isinstance(row, Rate) else ""
            cells[split, x] = f"{number(value, digits)} {interval(low, high, digits)}{of}"
        lines.append(Line(split, line, SPLITS.index(split), band))
    rows = [[names[x], *(cells.get((split, x), "") for split in splits)] for x in sorted(names)]

    def draw(width: int) -> Html:
        return line_chart(
            lines,
            title=words.title,
            x_label=words.x,
            y_label=words.y,
            width=width,
            zero=zero,
            x_words=x_words,
        )

    return figure(draw, [words.caption], [words.column, *splits], rows, width=550)


def by_rank(splits: Splits) -> Html:
    """Does word overlap find what helps?"""
    caption = (
        "By BM25 rank. Falling lines mean that word overlap finds what helps; level ones mean that the labels"
        " know something that BM25 does not, or nothing at all."
    )
    words = Words("Positive labels by BM25 rank", "BM25 rank", "% positive", "rank", caption)
    return _chart(
        splits,
        lambda found: [(row.rank, count(row.rank), row) for row in found.by_rank],
        words,
        scale=100,
        digits=1,
    )


def by_distance(splits: Splits) -> Html:
    """Is help near or far?"""
    caption = (
        "By the distance between candidate and query. A falling line says that help is near, where a longer"
        " window would see it too; a level one that retrieval reaches what no window does. Train queries"
        " retrieve from their training sequence only."
    )
    words = Words(
        "Positive labels by distance", "chunks between candidate and query", "% positive", "chunks", caption
    )

    def points(found: SplitFigures) -> list[Point]:
        return [
            (math.log2(row.start * (row.end + 1)) / 2, _span(row.start, row.end), row)
            for row in found.by_distance
        ]

    return _chart(splits, points, words, scale=100, digits=1, x_words=lambda tick: f"{2**tick:,.0f}")


def _span(first: int, last: int) -> str:
    return count(first) if first == last else f"{count(first)} to {count(last)}"


def by_position(splits: Splits) -> Html:
    """Do queries late in a document gain more?"""
    caption = (
        "By where the query stands in its document: 1 is the first tenth, 10 the last. Late queries have more"
        " to choose from; a rising line is what retrieval promises."
    )
    words = Words(
        "Positive labels by position of the query", "tenth of the document", "% positive", "tenth", caption
    )

    def points(found: SplitFigures) -> list[Point]:
        return [(round(10 * row.end), count(10 * row.end), row) for row in found.by_position]

    return _chart(splits, points, words, scale=100, digits=1)


def figure_5(splits: Splits) -> Html:
    """The paper's Figure 5."""
    caption = (
        "The paper's Figure 5: mean over queries of the best s_t among the first k BM25 candidates. A maximum"
        " over more candidates rises even if every score is noise, so the rise alone proves nothing; the"
        " figure beside it and the gate “BM25 over chance” do."
    )
    words = Words("Best score by number of candidates", "candidates k", "nats a target token", "k", caption)
    return _chart(
        splits,
        lambda found: [(row.k, count(row.k), row) for row in found.best_by_k],
        words,
        digits=4,
        zero=True,
    )


def order_gain(splits: Splits) -> Html:
    """What BM25's order is worth at each k."""
    caption = (
        "What BM25's order is worth: the best of its first k, less the best of k random ones of the same"
        " candidates. 0 at every k would mean that the order says nothing about help, as with noise. At its"
        " last k a line ends at 0: both have all candidates."
    )
    words = Words(
        "Lead of BM25's order over a random order", "candidates k", "nats a target token", "k", caption
    )

    def points(found: SplitFigures) -> list[Point]:
        return [(row.k, count(row.k), row.order_gain) for row in found.best_by_k]

    return _chart(splits, points, words, digits=4, zero=True)
