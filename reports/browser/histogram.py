"""How the s_t of a document's pairs are spread."""

from __future__ import annotations

import math

import numpy as np

from reports.browser.document import Document
from reports.browser.library import LabelLibrary
from reports.html.charts import bar_chart, figure
from reports.html.formats import count, percent
from reports.html.markup import Html, clipped, tag
from reports.site import drawing, layout

BARS = 24  # at most
STEPS = (1.0, 2.0, 5.0, 10.0)


def render(library: LabelLibrary, document: Document) -> Html:
    """A histogram for each label set, in bins of one width."""
    scores = [labels["target_score"].to_numpy() for labels in document.labels]
    step = width_of(np.concatenate(scores))
    figures = list[Html]()
    for name, values in zip(library.names, scores, strict=True):
        if len(values):
            title = [tag("h3", tag("bdi", clipped(name, layout.NAME)))] if len(library.names) > 1 else []
            figures.append(tag("div", *title, _figure(values, step)))
    return tag("section", tag("h2", "s_t of its pairs"), tag("div", *figures, class_="charts"))


def width_of(scores: np.ndarray) -> float:
    """The least of 1, 2, 5, 10, 20, ... nats (or of 0.1, 0.2, ...) with which `BARS` bins hold all."""
    spread = max(float(scores.max() - scores.min()), 1e-3) / (BARS - 1)
    power = 10.0 ** math.floor(math.log10(spread))
    return next(step * power for step in STEPS if step * power >= spread)


def bins_of(scores: np.ndarray, width: float) -> list[tuple[float, int]]:
    """(lower edge, how many lie at it or above and below the next) of neighbouring bins from the first that
    holds something to the last; 0 is an edge.
    """
    places = np.floor(scores / width).astype(int)
    first = int(places.min())
    return [
        (round((first + place) * width, 6), int(held))
        for place, held in enumerate(np.bincount(places - first))
    ]


def _written(edge: float) -> str:
    return f"{edge:g}".replace("-", "\N{MINUS SIGN}")


def _figure(scores: np.ndarray, step: float) -> Html:
    found = bins_of(scores, step)
    bars = [(_written(edge), float(held)) for edge, held in found]

    def draw(width: int) -> Html:
        return bar_chart(
            bars,
            title="Pairs by s_t",
            x_label=f"s_t from, nats (bins of {step:g})",
            y_label="pairs",
            width=width,
        )

    middle = float(np.median(scores))
    words = (
        f"{count(len(scores))} pairs, {percent(float((scores > 0).mean()))} with s_t > 0; the median is"
        f" {drawing.score(middle)} nats."
    )
    rows = [[f"{_written(edge)} to {_written(edge + step)}", count(held)] for edge, held in found]
    return figure(draw, [words], ["s_t, nats", "pairs"], rows)
