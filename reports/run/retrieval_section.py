"""The part of the page on retrieval: the paper's Table 3, chance beside it, token overlap (Figure 4), what
gold is worth (Figure 6).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from reports.html.charts import Dot, dot_chart, figure
from reports.html.formats import NOT_AVAILABLE, Number, count, finite, number, percent
from reports.html.markup import Html, clipped, join, table, tag
from reports.html.parts import NAME, NOT_LOGGED, empty, few_documents, measured, section
from reports.metrics.frozen_reader import FrozenFigures
from reports.metrics.published import AVERAGE, RETRIEVERS, TABLE_3, name_of, names_of
from reports.metrics.resampling import Estimate
from reports.metrics.retrieval_rows import RetrieverFigures
from reports.metrics.retrieved_sample import SampleFigures
from reports.metrics.subgroup_gain import SubgroupFigures
from reports.metrics.token_overlap import OverlapFigures

Rows = Sequence[RetrieverFigures]
Sample = Sequence[SampleFigures]
METRICS = {"precision_at_2": "precision@2", "recall_at_10": "recall@10", "ndcg_at_20": "nDCG@20"}
TIMES = "\N{MULTIPLICATION SIGN}"
GROUPS = {"with_gold": "gold", "without_gold": "none", "all": "all"}


class Line(NamedTuple):
    """What a line of Table 3 is made of; a figure that was not measured is not in `figures`."""

    retriever: str
    system: str | None
    queries: int
    figures: Mapping[str, Estimate]


def _percent(line: Line | None, key: str) -> str:
    figure = line.figures.get(key) if line else None
    return (
        NOT_LOGGED
        if figure is None or figure.value is None or not finite(figure.value)
        else number(100 * figure.value, 1)
    )


def _block(words: str, lines: Sequence[Line]) -> list[list[str]]:
    """Figures of `lines` in the columns of Table 3: one line, another for each run of a system that has
    several, and chance.
    """
    by_name = {line.retriever: line for line in lines}
    ours = [words, *(_percent(by_name.get(name), key) for key in METRICS for name in RETRIEVERS)]
    seeds = [
        [
            f"{words}, {clipped(line.retriever, NAME)}",
            *(
                _percent(line if name == name_of(line.system) else None, key)
                for key in METRICS
                for name in RETRIEVERS
            ),
        ]
        for line in lines
        if line.system and line.retriever != name_of(line.system) and name_of(line.system) in RETRIEVERS
    ]
    if not (random := by_name.get("random")):
        return [ours, *seeds]
    few = f" ({count(random.queries)} queries)" if len({line.queries for line in lines}) > 1 else ""
    return [
        ours,
        *seeds,
        [f"{words}, chance{few}", *(_percent(random, key) for key in METRICS for _ in RETRIEVERS)],
    ]


def table_3(rows: Rows, retrieved: Sample) -> Html:
    """The paper's layout, in percent: against the labels and where what was retrieved was scored, then what
    was published.
    """
    published = [
        [
            f"{corpus}, published",
            *(number(value, 0 if corpus != AVERAGE else 1) for key in METRICS for value in figures[key]),
        ]
        for corpus, figures in TABLE_3.items()
    ]
    spans = [
        tag("td"),
        *(tag("th", f"{name}, %", colspan=len(RETRIEVERS), scope="colgroup") for name in METRICS.values()),
    ]
    ours = [Line(row.retriever, row.system, row.queries, row.figures) for row in rows]
    sampled = [
        Line(row.retriever, row.system, row.queries, {"precision_at_2": row.precision_at_2})
        for row in retrieved
    ]
    body = [
        *_block("against the labels", ours),
        *(_block("retrieved neighbours scored", sampled) if sampled else []),
        *published,
    ]
    return tag(
        "div", table(["", *RETRIEVERS * len(METRICS)], body, groups=tag("tr", *spans)), class_="systems gold"
    )


def _against_chance(value: Number, chance: Number) -> str:
    if value is None or chance is None or not (finite(value) and finite(chance)) or chance <= 0:
        return NOT_AVAILABLE
    return f"{value / chance:.2f}{TIMES}"


def _named(row: RetrieverFigures | SampleFigures | FrozenFigures) -> Html:
    return join(
        [clipped(row.retriever, NAME), *([tag("small", " (chance)")] if row.retriever == "random" else [])]
    )


def _table(rows: Rows) -> Html:
    """Each figure beside its interval, its ratio to what a random order is expected to reach and the number
    of queries that it counts.
    """
    random = next((row.figures for row in rows if row.retriever == "random"), None)
    head = [
        "retriever",
        *(cell for name in METRICS.values() for cell in (f"{name} [95 %]", f"{TIMES} chance", "queries")),
    ]
    body = []
    for row in rows:
        cells: list[str] = [_named(row)]
        for key in METRICS:
            figure = row.figures[key]
            cells += [
                measured(figure, 3),
                _against_chance(figure.value, random[key].value if random else None),
                count(figure.queries),
            ]
        body.append(cells)
    return tag("div", table(head, body), class_="systems metrics")


def _documents(rows: Rows) -> str:
    """Over how many documents a table is, and whether that is enough."""
    few = few_documents([row.documents for row in rows])
    return f"95 % intervals are over the {count(rows[0].documents)} documents that the queries are of.{few}"


def _without_positive(row: RetrieverFigures) -> str:
    queries, positive = row.queries, row.queries_with_positive
    share = percent(1 - positive / queries if finite(queries) and finite(positive) and queries else None)
    return f"{share} of the {count(queries)} queries"


def retrieval(
    rows: Rows, reranked: Rows, exhaustive: Rows, retrieved: Sample, frozen: Sequence[FrozenFigures]
) -> Html:
    """Precision, recall and nDCG against gold: over all eligible chunks, among the scored candidates, and
    where more was scored.
    """
    if not rows:
        return section(
            "retrieval", "Retrieval against gold", empty("No retriever was measured against gold.")
        )
    layout = (
        "The paper's Table 3 with this run in it. How it treats chunks without a score is not said there, and"
        " reference LM, candidates and corpora differ: compare the order of the columns and the distance from"
        " chance, not values."
    )
    caption = (
        "How far up each retriever ranks the chunks that helped the reference language model predict what"
        " comes next. Gold: candidates with a positive label; everything eligible is ranked and what was not"
        f" labelled counts as not relevant. 1.00{TIMES} is what a random order is expected to reach, computed"
        f" exactly. {_without_positive(rows[0])} have no positive: recall and nDCG leave them out."
        f" {_documents(rows)}"
    )
    tables = [
        table_3(rows, retrieved),
        empty(layout),
        *_retrieved(retrieved),
        tag("h3", "Against the labels"),
        _table(rows),
        empty(caption),
    ]
    return section(
        "retrieval",
        "Retrieval against gold",
        *tables,
        *_reranked(reranked),
        *_exhaustive(exhaustive),
        *_frozen(frozen),
    )


def _retrieved(rows: Sample) -> list[Html]:
    if not rows:
        return []
    body = [
        [_named(row), measured(row.precision_at_2, 3), count(row.queries), count(row.documents)]
        for row in rows
    ]
    words = (
        "A sample of queries, the same one for every system, for which the reference LM scored whatever a"
        " system read: the share of the first two neighbours with s_t > 0. Every neighbour has a score here,"
        " so precision is exact, where the labels know BM25's candidates alone; a query with one eligible"
        " chunk cannot reach more than a half. Chance is known only for the queries of which all eligible"
        " chunks were scored, which lie nearer to the start of their documents; the last table is of such"
        " alone." + few_documents([row.documents for row in rows])
    )
    table_of = table(["what was read", f"{METRICS['precision_at_2']} [95 %]", "queries", "docs"], body)
    return [tag("h3", "Retrieved neighbours scored"), tag("div", table_of, class_="systems"), empty(words)]


def _reranked(rows: Rows) -> list[Html]:
    if not rows:
        return []
    words = (
        "In the order of each ranking; those that a system did not rank among its first 20 follow in random"
        " order, as an expected value. Most of these figures is chance, so a figure at k counts only queries"
        f" with at least 2 k candidates, and reads n/a where there is none. {_without_positive(rows[0])} have"
        f" no positive. {_documents(rows)}"
    )
    return [tag("h3", "Among the scored candidates alone"), _table(rows), empty(words)]


def _exhaustive(rows: Rows) -> list[Html]:
    if not rows:
        return []
    words = (
        "A sample of queries for which the reference LM scored every eligible chunk, as the paper says it"
        " did: gold is exact, and owes nothing to the candidates that BM25 proposed. Queries with more"
        f" eligible chunks than exhaustive.most_eligible are not drawn. {_without_positive(rows[0])} have no"
        f" positive. {_documents(rows)}"
    )
    return [tag("h3", "Where everything was scored"), _table(rows), empty(words)]


def _frozen(rows: Sequence[FrozenFigures]) -> list[Html]:
    if not rows:
        return []
    body = []
    for row in rows:
        perplexity = measured(Estimate(row.perplexity, row.low, row.high), 2)
        counts = (count(number) for number in (row.queries, row.documents))
        body.append(
            [_named(row), count(row.neighbours), perplexity, measured(row.gain, 3, signed=True), *counts]
        )
    words = (
        "What retrievers are worth to one reader that nothing here has trained to read them: the reference"
        " LM, with a neighbour and its continuation in front of the query chunk (In-Context RALM, arXiv"
        " 2302.00083), or the two chunks before it where it reads nothing. Two neighbours are read one by one"
        " and their probabilities averaged (after REPLUG, arXiv 2301.12652). The best of all scored knows the"
        " target: it is a ceiling, no retriever. Perplexity is of the targets of the sample, a token of the"
        " corpus; the labels were made by this same reader, so a retriever that has learned them is at home"
        " here." + few_documents([row.documents for row in rows])
    )
    head = [
        "what was read",
        "neighbours",
        "perplexity [95 %]",
        "gain in nats a token [95 %]",
        "queries",
        "documents",
    ]
    return [tag("h3", "A frozen reader"), tag("div", table(head, body), class_="systems"), empty(words)]


def _side(
    rows: Sequence[OverlapFigures],
    side: str,
    colours: dict[str, int],
    caption: str,
    columns: dict[str, Callable[[OverlapFigures], Estimate]],
) -> Html:
    """`columns` of the table, of which the first is drawn."""
    drawn, *_ = columns.values()
    estimates = [(row, drawn(row)) for row in rows]
    dots = [
        Dot(clipped(row.run, NAME), of.value, of.low, of.high, colours.get(row.run, -1))
        for row, of in estimates
    ]
    body = [
        [clipped(row.run, NAME), *(measured(of(row), 2) for of in columns.values()), count(row.chunks)]
        for row in rows
    ]

    def draw(width: int) -> Html:
        return dot_chart(
            dots,
            title=f"Overlap with the {side} chunk",
            x_label=f"distinct tokens shared with the {side} chunk",
            width=width,
        )

    return figure(draw, [caption], ["run", *columns, "chunks"], body, width=550)


def overlap(rows: Sequence[OverlapFigures], colours: dict[str, int]) -> list[Html]:
    """The paper's Figure 4."""
    if not rows:
        return []
    query = (
        "The paper's Figure 4: distinct tokens that the first retrieved chunk shares with the query chunk,"
        " over all chunks with something to retrieve. BM25 is expected to lead: it ranks by these words."
    )
    target = (
        "The same with the target chunk, what comes next. A retriever that learned from the reference LM"
        " should lead here, although it never sees the target. In the table also with its continuation, which"
        " the model reads too."
    )
    figures = (
        _side(rows, "query", colours, query, {"query": lambda row: row.query}),
        _side(
            rows,
            "target",
            colours,
            target,
            {"target": lambda row: row.target, "with continuation": lambda row: row.target_with_continuation},
        ),
    )
    return [tag("h3", "What is retrieved"), tag("div", *figures, class_="pair")]


def subgroups(rows: Sequence[SubgroupFigures], colours: dict[str, int]) -> list[Html]:
    """The paper's Figure 6."""
    if not rows:
        return []
    dots, body, names = [], [], names_of({row.run: row.system for row in rows})
    for row in rows:
        group = GROUPS[row.group] if row.group in GROUPS else clipped(row.group, NAME)
        name = f"{group}: {clipped(names[row.run], NAME)}"
        improvement = row.improvement
        dots.append(
            Dot(name, improvement.value, improvement.low, improvement.high, colours.get(row.run, -1), 2)
        )
        body.append(
            [
                clipped(row.run, NAME),
                group,
                measured(improvement, 2, signed=True),
                count(row.chunks),
                count(row.documents),
            ]
        )
    gold = {
        "retrieved": (
            "over chunks for which a gold chunk (s_t > 0) was among the neighbours, for which none was, and"
            " over both. Of the sample of queries whose retrieved neighbours were all scored, so both groups"
            " are sure."
        ),
        "labels": (
            "over chunks for which a gold chunk (s_t > 0) was among the neighbours, for which none was, and"
            " over all chunks with scored candidates. No sample of what was retrieved was scored, so this is"
            " by the labels: a neighbour that has none counts as not gold, so the first group is sure and the"
            " second is not."
        ),
    }
    caption = (
        "The paper's Figure 6: how much lower than Transformer-XL's the perplexity is, in percent,"
        f" {gold['retrieved' if rows[0].scored == 'retrieved' else 'labels']} If both gain alike, what was"
        " retrieved explains little of the gain. Lines: 95 %"
        f" intervals.{few_documents([row.documents for row in rows])}"
    )

    def draw(width: int) -> Html:
        label = "% lower perplexity (higher is better)"
        title = "Improvement over Transformer-XL by whether gold was retrieved"
        return dot_chart(dots, title=title, x_label=label, width=width, reference=0.0, signed=True)

    return [
        tag("h3", "What gold is worth"),
        figure(draw, [caption], ["run", "gold retrieved", "% lower", "chunks", "documents"], body),
    ]


def analysis(
    overlaps: Sequence[OverlapFigures], groups: Sequence[SubgroupFigures], colours: dict[str, int]
) -> Html:
    """Figures 4 and 6."""
    drawn = [*overlap(overlaps, colours), *subgroups(groups, colours)]
    return section(
        "analysis",
        "What was retrieved, and what it brought",
        *(drawn or [empty("No system retrieved anything.")]),
    )
