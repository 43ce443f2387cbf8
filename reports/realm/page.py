"""The page of a trained REALM."""

from __future__ import annotations

from collections.abc import Mapping

from data_contracts.realm_answers import METHODS
from reports.html.charts import Line, figure, line_chart
from reports.html.formats import count, percent, percents
from reports.html.frame import contents, page
from reports.html.markup import Html, clipped, tag
from reports.html.parts import (
    NAME,
    NOT_LOGGED,
    averaged,
    curve_table,
    empty,
    few_documents,
    measured,
    section,
)
from reports.html.plain_table import PlainTable, as_html
from reports.realm.figures import Curve, MethodFigures, RealmReport, TrainingFigures

ORDER = ("realm", "start", "bm25", "random", "null")
ANSWERS = (
    "The same embedder and reader with passages found in different ways; p(z | x) is the embedder's in all of"
    " them. The passage that a question was made from is in no index. Exact match: the best token at every"
    " mask is the answer's; how many tokens it has is told by the masks. Nats are a token of the answer."
)
LOSS = "Minus log p(y | x) of each batch in nats a masked token, means over neighbouring updates."
UTILITY = (
    "log p(y | x) less log p(y | x, null document) of each batch, in nats a masked token, means over"
    " neighbouring updates. A reader that is seldom asked without a passage forgets how to answer so, which"
    " raises utility too: what passages are worth stands in the table of answers, against random ones."
)
RECALL = (
    "Of what an index of the weights of now finds among a fixed sample of passages for a fixed sample of"
    " questions, the share that the index in use finds. Probes are made on a schedule, whatever the rule for"
    " refreshing."
)


def realm_page(figures: RealmReport) -> str:
    """The report as HTML."""
    name = clipped(figures.corpus, NAME)
    header = [
        tag("h1", f"REALM: {name}"),
        *(tag("p", line) for line in figures.headline),
        contents([("answers", "Answers"), ("training", "Training"), ("index", "The index")]),
    ]
    return page(
        f"REALM {name}", header, [answers(figures), training(figures.training), index(figures.training)]
    )


def answers(figures: RealmReport) -> Html:
    """What each way of finding passages is worth."""
    head = ["passages", "exact match", "nats a token", "REALM's gain", "answer in a passage"]
    rows = [_row(method, figures.methods[method]) for method in ORDER]
    kinds = ", ".join(
        f"{count(number)} {kind}{'s' if number > 1 else ''}" for kind, number in figures.kinds.items()
    )
    asked = f"{count(figures.questions)} questions of {count(figures.documents)} documents: {kinds}."
    return section(
        "answers",
        "Answers",
        as_html(PlainTable(head, rows)),
        empty(f"{asked} {ANSWERS}{few_documents([figures.documents])}"),
    )


def _row(method: str, row: MethodFigures) -> list[str]:
    exact, answer_in = (
        f"{percent(found.value)} {percents(found.low, found.high)}" for found in (row.exact, row.answer_in)
    )
    over = NOT_LOGGED if row.over is None else measured(row.over, 3, signed=True)
    return [
        METHODS[method],
        exact,
        measured(row.logprob, 3),
        over,
        answer_in if method != "null" else NOT_LOGGED,
    ]


def training(found: TrainingFigures) -> Html:
    """Loss and utility by update."""
    return section(
        "training",
        "Training",
        *(_curves(found.curves, name, caption) for name, caption in (("loss", LOSS), ("utility", UTILITY))),
    )


def index(found: TrainingFigures) -> Html:
    """How far the index was behind, and when it was built anew."""
    head = ["update", "built from", "what the index before still found"]
    rows = [[count(row.step), count(row.built_from), percent(row.old_recall)] for row in found.refreshes]
    taken = as_html(PlainTable(head, rows)) if rows else empty("The index was never built anew.")
    if not found.curves["recall"]:
        return section("index", "The index", empty("Its recall was never measured."), taken)
    return section("index", "The index", _curves(found.curves, "recall", RECALL), taken)


def _curves(curves: Mapping[str, Curve], name: str, caption: str) -> Html:
    def draw(width: int) -> Html:
        return line_chart(
            [Line(name, averaged(curves[name]), 0)],
            title=f"{name} by update",
            x_label="update",
            y_label=name,
            width=width,
        )

    return figure(draw, [caption], *curve_table([name], [curves[name]]))
