"""What the past of a document is worth: one table, for the page of a corpus and for a comparison."""

from __future__ import annotations

from collections.abc import Sequence

from data_contracts.ceilings import MIXTURES
from reports.html.formats import count, interval, number
from reports.html.markup import Html
from reports.html.parts import NOT_LOGGED, empty, section
from reports.html.plain_table import PlainTable, as_html
from reports.metrics.ceilings import Ceiling
from reports.metrics.resampling import FEWEST_DOCUMENTS, Estimate

WORDS = (
    "Transformer-XL mixed with what is counted over text: how much there is to gain, whoever retrieves and"
    " whoever reads. The past beyond the window is what a retriever may choose from: these rows copy from"
    " all of it and do nothing else, while a system reads a few chunks of it and may do more, so they are a"
    " measure and no bound. Every mixture sums to 1 over the vocabulary, sees nothing of what it predicts,"
    " and has its weights from other documents. N-grams of the training text know nothing of the document:"
    " what they gain is what the model has not learned, and only what the past adds to them (“over the"
    " control”) is of the document alone. Gains are in nats a token over Transformer-XL alone, on the same"
    f" tokens and resamples; of fewer than {FEWEST_DOCUMENTS} documents they have no interval."
)
HEAD = [
    "Transformer-XL mixed with",
    "perplexity",
    "gain",
    "with neighbours",
    "gain",
    "over the control",
    "docs",
]


def cells(row: Ceiling) -> list[str]:
    """The cells of a mixture."""
    name = MIXTURES.get(row.setting, "nothing")
    both = [(row.perplexity, row.gain), (row.perplexity_with_neighbours, row.gain_with_neighbours)]
    return [
        name,
        *(cell for value, gain in both for cell in (number(value), _gain(gain))),
        _gain(row.over_training),
        count(row.documents),
    ]


def ceilings(rows: Sequence[Ceiling]) -> Html:
    """The section of the page."""
    if not rows:
        return section(
            "ceilings", "What the past holds", empty("No run of Transformer-XL was mixed with its past.")
        )
    return section(
        "ceilings",
        "What the past holds",
        as_html(PlainTable(HEAD, [cells(row) for row in rows])),
        empty(WORDS),
    )


def _gain(gain: Estimate | None) -> str:
    if gain is None:
        return NOT_LOGGED
    bounds = "" if gain.low is None else f" {interval(gain.low, gain.high, 3, signed=True)}"
    return number(gain.value, 3, signed=True) + bounds
