"""The part of the page that says what went in, what was trained for labelling, where everything lies and how
to go on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from reports.html.charts import Line, bar_chart, figure, line_chart
from reports.html.formats import Number, count, finite, number, size
from reports.html.markup import Html, clipped, table, tag
from reports.html.parts import NAME, averaged, curve_table, empty, in_split_order, section
from reports.labels.findings import COPYING
from reports.labels.label_sections import facts
from reports.metrics.corpus_figures import CorpusFigures
from reports.metrics.lengths import LengthBin
from reports.run.report import ReferenceModel

PATH = 300


def _times(*factors: Number) -> Number:
    known = [factor for factor in factors if factor is not None and finite(factor)]
    return math.prod(known) if len(known) == len(factors) else None


def _balance(numbers: CorpusFigures) -> list[Html]:
    """Inputs = documents + quarantined, in red if that is not so."""
    parts: list[Number] = [numbers.inputs, numbers.documents_kept, *numbers.quarantined.values()]
    counts = [part for part in parts if part is not None and finite(part)]
    if len(counts) < len(parts):
        return [
            tag(
                "p",
                f"{count(parts[0])} inputs, {count(parts[1])} documents; not all of the counts are known.",
            )
        ]
    inputs, documents, rejected = counts[0], counts[1], sum(counts[2:])
    lines = [
        tag("p", f"{count(inputs)} inputs = {count(documents)} documents + {count(rejected)} quarantined")
    ]
    if inputs != documents + rejected:
        missing = (
            f"The two sides differ by {count(abs(inputs - documents - rejected))}: some inputs are not"
            " accounted for."
        )
        lines.append(tag("p", missing, class_="warning"))
    return lines


def _lengths(bins: Sequence[LengthBin]) -> list[Html]:
    """The paper's Figure 3."""
    if not bins:
        return []
    shares = [_times(100, bin_.share) for bin_ in bins]
    bars = [(number(bin_.start, 2), share) for bin_, share in zip(bins, shares, strict=True)]
    rows = [
        [f"{number(bin_.start, 2)} to {number(bin_.end, 2)}", count(bin_.documents), number(share, 1)]
        for bin_, share in zip(bins, shares, strict=True)
    ]

    def draw(width: int) -> Html:
        return bar_chart(
            bars,
            title="Length of documents",
            x_label="log10 of tokens, from",
            y_label="% of documents",
            width=width,
        )

    caption = (
        "How long the documents are (Figure 3 of the paper). Retrieval can only help where a document is"
        " longer than the visible window."
    )
    return [figure(draw, [caption], ["log10 of tokens", "documents", "%"], rows)]


def data(numbers: CorpusFigures) -> Html:
    """Every input accounted for, the splits and the geometry."""
    quarantined = numbers.quarantined
    reasons = [[clipped(reason, NAME), count(n)] for reason, n in quarantined.items()]
    why = [table(["quarantined because", "inputs"], reasons)] if reasons else []
    splits = [
        [
            clipped(split, NAME),
            *map(count, (sizes.documents, sizes.chunks, sizes.tokens, sizes.median_tokens)),
        ]
        for split, sizes in in_split_order(numbers.splits)
    ]
    geometry = numbers.geometry
    tokens, sequence, stride = geometry.chunk_tokens, geometry.sequence_chunks, geometry.stride_chunks
    known = [("vocabulary", count(numbers.vocabulary)), ("chunk", f"{count(tokens)} tokens")]
    known += [("training sequence", f"{count(sequence)} chunks, {count(_times(sequence, tokens))} tokens")]
    known += [
        (
            "stride",
            f"{count(stride)} chunks; attention sees at most {count(_times(2, stride, tokens))} tokens",
        )
    ]
    tables = tag(
        "div", table(["split", "documents", "chunks", "tokens", "median length"], splits), *why, class_="pair"
    )
    return section("data", "Data", *_balance(numbers), tables, facts(known), *_lengths(numbers.lengths))


def reference_lm(model: ReferenceModel) -> Html:
    """The language model whose judgement the labels are."""
    known = [("parameters", size(model.parameters)), ("steps", count(model.steps))]
    known += [
        ("first loss", f"{number(model.loss_first, 3)} nats"),
        ("last loss", f"{number(model.loss_last, 3)} nats"),
    ]
    if not model.curve:
        return section(
            "reference", "Reference language model", facts(known), empty("No losses were recorded.")
        )
    caption = (
        f"Loss of the model that scored the candidates. {COPYING} A model that does not use text placed"
        " before it gives labels that are noise, however low its loss: the section on labels is the check."
    )
    head, rows = curve_table(["loss"], [model.curve])
    line = Line("reference", averaged(model.curve), 0)

    def draw(width: int) -> Html:
        return line_chart(
            [line],
            title="Loss of the reference model by step",
            x_label="step",
            y_label="nats a token",
            width=width,
        )

    return section("reference", "Reference language model", facts(known), figure(draw, [caption], head, rows))


def artifacts(rows: Sequence[Sequence[str]]) -> Html:
    """Where everything lies."""
    if not rows:
        return section("artifacts", "Where everything lies", empty("No artifact was listed."))
    body = [[tag("code", clipped(path, PATH)), clipped(what, PATH)] for path, what in rows]
    words = (
        "Paths from the project's root. Tables are Parquet: polars, DuckDB, pandas and Hugging Face datasets"
        " read them as they are."
    )
    return section(
        "artifacts",
        "Where everything lies",
        table(["path", "what it is"], body, numeric_from=2),
        empty(words),
    )


def next_steps(small_scale: bool) -> Html:
    """Commands that continue from here."""
    commands = [
        ("./rpt plan", "what would run after an edit of params.yaml, and why; nothing runs"),
        (
            "./rpt run -o scoring.candidates=12",
            "label more candidates a query; only pairs without a score are scored",
        ),
        ("./rpt run -o training.steps=2000", "train every system longer; data and labels are kept"),
        ("./rpt verify", "check every shard against its digest and contract"),
        ("./rpt status", "every artifact with its rows and size"),
    ]
    if small_scale:
        commands.insert(0, ("./rpt demo -o corpora.demo.source=my_books/", "the same on your own text"))
    body = [[tag("code", command), what] for command, what in commands]
    return section("next", "How to go on", table(["command", "what it does"], body, numeric_from=2))
