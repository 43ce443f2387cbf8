"""The supervision report: one page on a label artifact that needs nothing else, no script and no network,
under 5 MB.
"""

from __future__ import annotations

from reports.html.formats import count
from reports.html.frame import SENTENCE, contents, page, warning_list
from reports.html.markup import Html, clipped, table, tag
from reports.html.parts import NAME, section
from reports.labels.findings import COPYING, findings, warnings
from reports.labels.label_sections import examples, gates, in_bytes
from reports.labels.report import Examples, LabelReport
from reports.labels.sections import copies, cost, enough, scores, where

_LINKS = (
    ("gates", "Gates"),
    ("enough", "Is k enough?"),
    ("where", "What helps"),
    ("scores", "Scores"),
    ("copies", "Copies"),
    ("examples", "Examples"),
    ("cost", "Cost"),
    ("next", "Go on"),
)


def _header(report: LabelReport) -> list[Html]:
    corpus = tag("bdi", clipped(report.corpus, NAME))
    about = (
        "A label s_t says how much more likely a reference language model finds the target, the next"
        f" {count(report.geometry.chunk_tokens)} tokens, after an earlier chunk of the document (the"
        f" candidate) than after the nearest text, in nats a pipeline token{in_bytes(report.gates)}. What"
        " helps is positive, and a retriever is trained to find it."
    )
    tiles = [
        tag(
            "li",
            tag("b", _unbroken(clipped(found.figure, SENTENCE))),
            _unbroken(clipped(found.words, SENTENCE)),
            class_="poor" if found.poor else None,
        )
        for found in findings(report)
    ]
    return [
        tag("h1", "Labels of ", corpus),
        tag("p", about, class_="lead"),
        tag("ul", *tiles, class_="tiles"),
        *warning_list(warnings(report)),
        contents(_LINKS),
    ]


def _unbroken(words: str) -> str:
    """Words whose numbers keep their percent sign, and k its number, on the same line."""
    return words.replace(" %", "\N{NO-BREAK SPACE}%").replace(
        "k = ", "k\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}"
    )


_KINDS = (
    ("best", "Best: what helps most and is no copy"),
    ("surprising", "Surprising: best by s_t, in the lower half by BM25"),
    ("worst", "Worst: the best candidate still does harm"),
)


def _examples(by_kind: Examples) -> Html:
    words = (
        (
            "The pair in question comes first, then BM25's first choice and the best others. Can you see the"
            " help in the text? A label is only as good as that. Characters that cannot be seen are written"
            " out, like "
        ),
        tag("mark", r"\u202e"),
        ".",
    )
    shown = [
        part
        for number_, (kind, heading) in enumerate(_KINDS)
        for part in (tag("h3", heading), *examples(by_kind[kind], opened=not number_))
    ]
    return section("examples", "Examples to read", tag("p", *words, class_="note"), *shown)


def _next(report: LabelReport) -> Html:
    labels = f"artifacts/{report.corpus}/labels"
    commands = [
        (
            "./rpt run label_report -o scoring.candidates=30",
            "more candidates a query; only new pairs are scored",
        ),
        ("./rpt run label_report -o reference_lm.tokens=12000000", "a reference LM trained for longer"),
        (
            f'polars.read_parquet("{labels}/*.parquet")',
            "all labels as a table; target_score is s_t summed over the target, in nats",
        ),
    ]
    body = [[tag("code", clipped(command, SENTENCE)), what] for command, what in commands]
    files = (
        "Beside this page: ",
        tag("code", "README.md"),
        ", the label card, and ",
        tag("code", "statistics.json"),
        ", every figure of this page.",
    )
    return section(
        "next",
        "How to go on",
        table(["command", "what it does"], body, numeric_from=2),
        tag("p", *files, class_="note"),
    )


def render(report: LabelReport, by_kind: Examples) -> str:
    """The page of a label artifact, with examples to read; any text may be hostile."""
    origin = (
        [tag("p", COPYING, class_="note")] if report.parameters["reference_lm"]["source"] == "train" else []
    )
    gate = section("gates", "Are they fit to train on?", *gates(report.gates), *origin)
    figures = (
        [enough(report), where(report), scores(report), copies(report, by_kind["copy"]), _examples(by_kind)]
        if report.splits
        else []
    )
    return page(
        f"Labels of {clipped(report.corpus, NAME)}",
        _header(report),
        [gate, *figures, cost(report), _next(report)],
    )
