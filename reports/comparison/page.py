"""A comparison as one HTML page and as Markdown, of the same tables and sentences."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from data_contracts.evaluations import OWN
from reports.comparison import copied as copied
from reports.comparison import notes as notes
from reports.comparison import tables as tables
from reports.comparison.rows import Comparison, CorpusComparison, SystemCost
from reports.comparison.tables import Corpora
from reports.html.charts import NAMED_NARROW, Point, figure, scatter_chart
from reports.html.formats import count, finite, number
from reports.html.frame import page, warning_list
from reports.html.markup import Html, clipped, tag
from reports.html.parts import NAME, empty, section
from reports.html.plain_table import PlainTable, as_html, as_markdown, markdown_text
from reports.metrics.published import name_of
from reports.run.ceiling_section import WORDS

LEAD = (
    "Systems trained and evaluated by one pipeline on the same text, beside the figures of"
    " Retrieval-Pretrained Transformer (arXiv 2306.13421)."
)
X_AXES: dict[str, tuple[str, Callable[[SystemCost], float | None]]] = {
    "time": ("measured time of an update over Transformer-XL's", lambda cost: cost.time),
    "operations": ("operations of an update over Transformer-XL's", lambda cost: cost.operations),
    "parameters": ("parameters", lambda cost: cost.parameters),
}


class Part(NamedTuple):
    """A titled table with what must be said of it."""

    anchor: str
    title: str
    table: PlainTable | None
    sentences: tuple[str, ...]
    pictures: tuple[Html, ...] = ()


def parts(comparison: Comparison) -> list[Part]:
    """The parts of a comparison in order."""
    corpora = comparison.corpora
    return [
        Part(
            "table-2",
            "Perplexity (the paper's Table 2)",
            tables.table_2(corpora),
            notes.OF_TABLE_2,
            tuple(map(_picture, corpora)),
        ),
        Part("orders", "What order these seeds support", None, tuple(notes.orders(corpora))),
        Part("gains", "Paired gains", tables.gains(corpora), (notes.OF_GAINS,)),
        Part("ceilings", "What the past holds", tables.ceilings(corpora), (WORDS,)),
        *_copied(corpora),
        Part("table-4", "Ablations (Table 4)", tables.table_4(corpora), (notes.OF_TABLE_4,)),
        Part("table-3", "Retrieval, % (Table 3)", tables.table_3(corpora), (notes.OF_TABLE_3,)),
        Part("retrievers", "Every retriever", tables.retrievers(corpora), ()),
        Part("fairness", "What the rows share, and what is missing", None, tuple(notes.fairness(corpora))),
        Part("runs", "Runs", tables.runs(corpora), ()),
    ]


def _copied(corpora: Corpora) -> list[Part]:
    """A part for each corpus and system that reads all of it."""
    found = [(corpus.corpus, one) for corpus in corpora for one in corpus.copied]
    return [
        Part(
            f"copied-{place}" if place else "copied",
            f"How much is copied: {name_of(one.system)} on {clipped(corpus, NAME)}",
            copied.table(one),
            tuple(copied.sentences(one)),
            copied.pictures(one),
        )
        for place, (corpus, one) in enumerate(found)
    ]


def markdown(comparison: Comparison) -> str:
    """The comparison as Markdown, which a terminal can show too."""
    lines = [
        f"# Comparison {markdown_text(comparison.name)}",
        LEAD,
        *map(markdown_text, _evaluated(comparison.corpora)),
    ]
    lines += [f"**{markdown_text(warning)}**" for warning in notes.warnings(comparison.corpora)]
    for part in parts(comparison):
        lines.append(f"## {markdown_text(part.title)}")
        lines += [as_markdown(part.table)] if part.table and part.table.rows else []
        lines += (
            ["\n".join(f"- {markdown_text(sentence)}" for sentence in part.sentences)]
            if part.sentences
            else []
        )
    return "\n\n".join(lines) + "\n"


def render(comparison: Comparison) -> str:
    """The comparison as a page; names of corpora and runs may be hostile."""
    corpora = comparison.corpora
    heading = tag("h1", "Comparison ", tag("bdi", clipped(comparison.name, NAME)))
    header = [
        heading,
        tag("p", " ".join([LEAD, *_evaluated(corpora)]), class_="lead"),
        *warning_list(notes.warnings(corpora)),
    ]
    sections = []
    for part in parts(comparison):
        content = [as_html(part.table)] if part.table and part.table.rows else []
        content += [empty(sentence) for sentence in part.sentences]
        content += part.pictures
        if content:
            sections.append(section(part.anchor, part.title, *content))
    return page(f"Comparison {clipped(comparison.name, NAME)}", header, sections)


def _evaluated(corpora: Corpora) -> list[str]:
    return [
        f"{clipped(corpus.corpus, NAME)}: {count(corpus.documents)} documents of the"
        f" {clipped(corpus.split, NAME)} split, {count(corpus.tokens)} tokens, the same for all rows (SHA-256"
        f" {corpus.tokens_sha256[:12]})."
        for corpus in corpora
        if corpus.tokens_sha256
    ]


def _picture(corpus: CorpusComparison) -> Html:
    """Perplexity against what an update costs: measured, or counted where a row was not measured, or
    parameters without Transformer-XL.
    """
    rows = [
        (row, row.perplexity)
        for row in corpus.rows
        if row.setting == OWN and row.perplexity is not None and finite(row.perplexity)
    ]
    costs = corpus.costs
    by = next(
        (
            name
            for name, (_, cost) in X_AXES.items()
            if all(cost(costs[row.system]) is not None for row, _ in rows)
        ),
        "parameters",
    )
    label, cost_of = X_AXES[by]
    systems = list(costs)
    points = [
        Point(
            clipped(name_of(row.system), NAME),
            cost,
            perplexity,
            systems.index(row.system),
            *((perplexity + sign * row.deviation for sign in (-1, 1)) if row.deviation else ()),
        )
        for row, perplexity in rows
        if (cost := cost_of(costs[row.system])) is not None
    ]
    name = clipped(corpus.corpus, NAME)
    body = [
        [f"{place}: {point.name}", number(point.x) if by != "parameters" else count(point.x), number(point.y)]
        for place, point in enumerate(points, 1)
    ]
    key = f" {'; '.join(row[0] for row in body)}." if len(points) > NAMED_NARROW else ""
    caption = (
        f"{name}: perplexity against the {label}. Lower and further left is better. An upright line is one"
        " standard deviation of the seeds, where there are several; the interval of the documents is in the"
        f" table, and all systems share most of it.{key}"
    )

    def draw(width: int) -> Html:
        return scatter_chart(
            points, title=f"Perplexity and cost, {name}", x_label=label, y_label="perplexity", width=width
        )

    return figure(draw, [caption], ["system", label, "perplexity"], body)
