"""The sections of the supervision report that show figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reports.html.formats import count, interval, number, percent, percents, size
from reports.html.markup import Html, join, table, tag
from reports.html.parts import empty, section
from reports.labels import figures as label_figures
from reports.labels.distribution import distribution
from reports.labels.findings import VERDICTS
from reports.labels.label_sections import examples, facts, scorer
from reports.labels.report import LabelExample, LabelReport, SplitFigures
from reports.metrics.resampling import Estimate


def _value(row: Estimate, digits: int = 4) -> Html:
    return join([number(row.value, digits), " ", tag("small", interval(row.low, row.high, digits))])


def _share(row: Estimate) -> Html:
    return join([percent(row.value), " ", tag("small", percents(row.low, row.high))])


def _by_split(report: LabelReport, rows: list[tuple[str, Callable[[SplitFigures], str]]]) -> Html:
    """A table with a column a split."""
    splits = report.splits
    return tag(
        "div",
        table(["", *splits], [[name, *(cell(found) for found in splits.values())] for name, cell in rows]),
        class_="splits",
    )


def enough(report: LabelReport) -> Html:
    """Figure 5, the verdict on k, and gain@2 against gain@k."""
    rule = (
        "k is enough if the last five candidates bring less than 10 % of what all after the first bring, with"
        " the whole interval below; among 20 candidates whose scores are noise they would bring 7 %, so that"
        " a yes does not mean good labels. Gain@2 is what a model with two neighbours gets from BM25, gain@k"
        " what the same candidates hold for a retriever that finds the best of them."
    )
    rows: list[tuple[str, Callable[[SplitFigures], str]]] = [
        ("candidates k at most", lambda found: count(found.candidates)),
        ("verdict on k", lambda found: VERDICTS[found.enough.verdict]),
        ("last 5 bring", lambda found: _value(found.enough.gain)),
        ("all after the first bring", lambda found: _value(found.enough.total)),
        ("share of the last 5", lambda found: _share(found.enough.share)),
        ("gain@2: better of BM25's first two", lambda found: _value(found.two.best_of_bm25)),
        ("gain@k: best of all", lambda found: _value(found.two.best_of_all)),
        ("gain@k less gain@2", lambda found: _value(found.two.lead_of_best)),
        ("mean of BM25's first two", lambda found: _value(found.two.mean_of_bm25)),
        ("mean of the two best by s_t", lambda found: _value(found.two.mean_of_best)),
        ("their difference", lambda found: _value(found.two.lead_of_mean)),
    ]
    figures = tag(
        "div", label_figures.figure_5(report.splits), label_figures.order_gain(report.splits), class_="pair"
    )
    return section("enough", "Is k enough?", figures, _by_split(report, rows), empty(rule))


def where(report: LabelReport) -> Html:
    """Positive rates by rank, distance and position."""
    splits = report.splits
    rows: list[tuple[str, Callable[[SplitFigures], str]]] = [
        ("documents", lambda found: count(found.documents)),
        ("queries", lambda found: count(found.queries)),
        ("pairs", lambda found: count(found.pairs)),
        ("positive", lambda found: _share(found.positive_rate)),
        ("mean s_t", lambda found: _value(found.mean_score)),
    ]
    figures = (
        label_figures.by_rank(splits),
        label_figures.by_distance(splits),
        label_figures.by_position(splits),
    )
    note = (
        "Shares of pairs, and nats a target token, with 95 % intervals over documents and blocks of 64"
        " chunks."
    )
    return section(
        "where",
        "What helps, and where it lies",
        _by_split(report, rows),
        empty(note),
        tag("div", *figures, class_="pair"),
    )


def scores(report: LabelReport) -> Html:
    """The distributions of s_t and of the best of each query."""
    pairs = (
        "Scores of all pairs. Only what is right of the line helps; a distribution that is narrow and centred"
        " on it is that of noise."
    )
    best = (
        "The best score of each query: the part right of the line are the queries that any candidate helps."
    )
    figures = (
        distribution(report.splits, "pairs", "Scores of pairs", pairs),
        distribution(report.splits, "best", "Best score of each query", best),
    )
    return section("scores", "Scores", tag("div", *figures, class_="pair"))


def copies(report: LabelReport, shown: Sequence[LabelExample]) -> Html:
    """How much of the supervision is copying, with the examples of it."""
    words = (
        "A candidate counts as a copy if it has at least half of the target's distinct token 8-grams, which"
        " an identical chunk always has: licences, tables of contents, generated code. They score high, and"
        " teach a retriever to find duplicates."
    )
    rows: list[tuple[str, Callable[[SplitFigures], str]]] = [
        ("copies", lambda found: count(found.copies.pairs)),
        ("of these verbatim: every 8-gram", lambda found: count(found.copies.verbatim)),
        ("share of pairs", lambda found: _share(found.copies.share)),
        ("share of positive labels", lambda found: _share(found.copies.of_positives)),
        ("queries whose best is a copy", lambda found: _share(found.copies.of_best)),
        ("positive among copies", lambda found: _share(found.copies.positive_rate)),
        ("positive without copies", lambda found: _share(found.copies.positive_rate_without)),
        ("mean s_t of copies", lambda found: _value(found.copies.mean_score)),
        ("mean s_t without copies", lambda found: _value(found.copies.mean_score_without)),
    ]
    return section(
        "copies",
        "Copies of the target",
        tag("p", words, class_="note"),
        _by_split(report, rows),
        tag("h3", "Copies with the highest scores"),
        *examples(shown),
    )


def cost(report: LabelReport) -> Html:
    """What the labels cost, what sharing prefixes saved, and who scored them."""
    sharing, cost = report.sharing, report.cost
    per_document = sharing.prefixes / sharing.documents if sharing.documents else None
    per_prefix = sharing.pairs / sharing.prefixes if sharing.prefixes else None
    saved = 1 - cost.flops / cost.flops_unshared if cost.flops_unshared else None
    known = [
        ("pairs, with the local contexts", count(sharing.pairs)),
        ("distinct prefixes", count(sharing.prefixes)),
        ("prefixes a document", number(per_document, 1)),
        ("pairs a prefix", number(per_prefix, 1)),
        ("pairs that reuse a prefix", percent(sharing.rate)),
        ("tokens through the layers", size(cost.tokens)),
        ("operations", f"{size(cost.flops)}FLOP"),
        ("without sharing", f"{size(cost.flops_unshared)}FLOP"),
        ("saved by sharing", percent(saved)),
        ("parameters of the scorer", size(cost.parameters)),
    ]
    words = (
        "What these labels cost a scorer that computes each prefix (c_j, c_j+1) of a document once and has no"
        " label yet, counted in matrix products. Scoring again costs only pairs that the ledger does not"
        " have."
    )
    return section(
        "cost", "Cost and identity of the scorer", facts(known), empty(words), scorer(report.scorer)
    )
