"""The part of the page on other neighbours at test, on the oracle, and on where in a document a
system gains.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from data_contracts.evaluations import SETTINGS
from reports.html.charts import Line, figure, line_chart
from reports.html.formats import Number, count, finite, interval, number, percent
from reports.html.markup import Html, clipped, table, tag
from reports.html.parts import NAME, NOT_LOGGED, empty, few_documents, measured, section
from reports.metrics.neighbours_at_test import (
    MOST_LEFT_OUT,
    GapClosed,
    OracleAllFigures,
    OracleFigures,
    SettingFigures,
)
from reports.metrics.positions import PositionBin, PositionRun, Positions

Rows = Sequence[SettingFigures]
READ = {"none": 0, "first_1": 1, "first_2": 2, "first_3": 3, "first_4": 4}
WORDS = {
    "own": "own",
    "training_length": "own, within a training length",
    "none": "none",
    "first_1": "first",
    "first_2": "first 2",
    "first_3": "first 3",
    "first_4": "first 4",
    "second": "second alone",
}


def _words(setting: str) -> str:
    return clipped(WORDS.get(setting, setting), NAME)


def _by_run(rows: Rows) -> dict[str, dict[str, SettingFigures]]:
    by_run: dict[str, dict[str, SettingFigures]] = {}
    for row in rows:
        by_run.setdefault(row.run, {})[row.setting] = row
    return by_run


def _pivot(rows: Rows) -> Html:
    by_run = _by_run(rows)
    settings = [setting for setting in SETTINGS if any(setting in figures for figures in by_run.values())]
    body = [
        [
            clipped(run, NAME),
            *(
                number(figures[setting].perplexity) if setting in figures else NOT_LOGGED
                for setting in settings
            ),
        ]
        for run, figures in by_run.items()
    ]
    return table(["run", *map(_words, settings)], body)


def _settings_figure(rows: Rows, colours: dict[str, int]) -> Html:
    lines = [
        Line(
            clipped(run, NAME),
            [(x, figures[setting].perplexity) for setting, x in READ.items() if setting in figures],
            colours.get(run, -1),
        )
        for run, figures in _by_run(rows).items()
    ]
    curve = (
        "Perplexity by how many of its ranking a system reads at test, without training it anew (the paper's"
        " rows with 3 and 4 neighbours). A level line means that the neighbours carry nothing it uses. "
    )
    caption = (
        "The gain is that over the system's own setting, paired. All of this, the own setting too, is over"
        " the documents that were read in every setting, which may be fewer than those of the perplexity"
        " above."
    )
    few = few_documents([row.documents for row in rows])
    head = [
        "run",
        "neighbours",
        "perplexity",
        "95 % interval",
        "with neighbours",
        "bits a byte",
        "gain, nats a token",
        "docs",
    ]
    body = []
    for row in rows:
        cells = [number(row.perplexity), interval(row.low, row.high), number(row.perplexity_with_neighbours)]
        cells += [measured(row.bits_per_byte, 3), measured(row.gain, 4, signed=True), count(row.documents)]
        body.append([clipped(row.run, NAME), _words(row.setting), *cells])

    if len({x for line in lines for x, _ in line.points}) < 2:
        return tag("div", table(head, body), empty(caption + few))

    def draw(width: int) -> Html:
        return line_chart(
            lines,
            title="Perplexity by neighbours read",
            x_label="neighbours read at test",
            y_label="perplexity",
            width=width,
        )

    return figure(draw, [curve, caption, few], head, body)


def _gap(found: GapClosed | None) -> str:
    left_out = [f"; {percent(found.left_out)} left out"] if found and found.left_out != 0 else []
    return "".join([measured(found, 2), *left_out])


def _oracles(rows: Sequence[OracleFigures]) -> list[Html]:
    if not rows:
        return []
    body = []
    for row in rows:
        cells = [number(row.perplexity), interval(row.low, row.high), number(row.perplexity_with_neighbours)]
        gaps = [_gap(gap) for gap in (row.gap_closed, row.gap_closed_scored)]
        body.append([clipped(row.run, NAME), *cells, *gaps, count(row.documents)])
    words = (
        "With the scored candidates of highest s_t, which no system can know, since s_t has seen the target."
        " They are the reference LM's choice among those candidates: other neighbours may serve the system"
        " better, so this is no bound. Gap closed: (Transformer-XL - system) / (Transformer-XL - oracle) in"
        " nats, 1 where the system does as well with its own neighbours. The oracle chooses only where"
        " candidates were scored and reads the system's own neighbours elsewhere, so the share among scored"
        " chunks is the fairer one. Resamples in which the oracle is not better than Transformer-XL are left"
        f" out; where that is more than {percent(MOST_LEFT_OUT)} of them, there is no interval."
    )
    head = [
        "run, with the oracle's neighbours",
        "perplexity",
        "95 % interval",
        "with neighbours",
        "gap closed",
        "of scored chunks",
        "docs",
    ]
    return [tag("h3", "Oracle: the reference LM's choice, no system"), table(head, body), empty(words)]


def _oracles_all(rows: Sequence[OracleAllFigures]) -> list[Html]:
    if not rows:
        return []
    body = [
        [
            clipped(row.run, NAME),
            *(measured(perplexity, 2) for perplexity in (row.own, row.oracle, row.oracle_all)),
            measured(row.gain, 4, signed=True),
            count(row.tokens),
        ]
        for row in rows
    ]
    words = (
        "Perplexity over the targets of the exhaustive sample alone, for which the reference LM scored every"
        " eligible chunk: with the run's own neighbours, the best of BM25's candidates (its own for a query"
        " without labels), and the best of all. The gain, paired, is that of the last over the one before it:"
        " what the candidates of BM25 miss."
    )
    head = ["run, over the sample", "own", "best candidates", "best of all", "gain, nats a token", "tokens"]
    return [tag("h3", "Oracle over all eligible chunks"), table(head, body), empty(words)]


def neighbours(
    settings: Rows,
    oracles: Sequence[OracleFigures],
    oracles_all: Sequence[OracleAllFigures],
    colours: dict[str, int],
) -> Html:
    """Perplexity with none, fewer, more and nearer neighbours, and with those of oracles."""
    anchor, heading = "neighbours", "Neighbours at test"
    bounds = [*_oracles(oracles), *_oracles_all(oracles_all)]
    if not settings:
        return section(
            anchor, heading, empty("No system was evaluated with other neighbours than its own."), *bounds
        )
    return section(anchor, heading, _settings_figure(settings, colours), _pivot(settings), *bounds)


def _middle(bin_: PositionBin) -> float | None:
    """The logarithm of the middle of a bin on a logarithmic axis."""
    if not (finite(bin_.start) and finite(bin_.end)):
        return None
    return math.log2(max(1, bin_.start) * max(1, bin_.end + 1)) / 2


def _position_figure(
    bins: Sequence[PositionBin],
    runs: Sequence[PositionRun],
    key: Literal["nats", "gain"],
    colours: dict[str, int],
    caption: str,
) -> Html:
    lines, drawn = (
        list[Line](),
        [(run, of) for run in runs if (of := run.nats if key == "nats" else run.gain) is not None],
    )
    for run, of in drawn:
        points, band = list[tuple[float, Number]](), list[tuple[float, Number, Number]]()
        for bin_, estimate in zip(bins, of, strict=True):
            if (x := _middle(bin_)) is not None:
                points.append((x, estimate.value))
                band.append((x, estimate.low, estimate.high))
        lines.append(
            Line(clipped(run.run, NAME), points, colours.get(run.run, -1), band if key == "gain" else ())
        )
    head = ["tokens", "counted", *(clipped(run.run, NAME) for run, _ in drawn)]
    body = [
        [
            f"{count(bin_.start)} to {count(bin_.end)}",
            count(bin_.tokens),
            *(measured(of[place], 3, signed=key == "gain") for _, of in drawn),
        ]
        for place, bin_ in enumerate(bins)
    ]
    words = {
        "nats": ("Loss by distance from the document's start", "nats a token"),
        "gain": ("Gain by distance", "nats a token gained"),
    }
    title, y_label = words[key]

    def draw(width: int) -> Html:
        x_label = "tokens since the document's start"
        return line_chart(
            lines,
            title=title,
            x_label=x_label,
            y_label=y_label,
            width=width,
            x_words=lambda tick: f"{2**tick:,.0f}",
        )

    return figure(draw, [caption], head, body, width=550)


def positions(found: Positions, colours: dict[str, int]) -> Html:
    """Mean loss of every run by distance from the start of its document, and its gain over Transformer-XL."""
    heading = "Where in a document"
    if not found.bins:
        return section("positions", heading, empty("No token was counted."))
    loss = (
        "Mean loss by how far a token is from the start of its document; each bin is twice as long as the one"
        " before it. Neighbours act only beyond the visible window; where systems differ before that, they"
        " were trained to differ."
    )
    gain = (
        "The gain over Transformer-XL in the same bins, with its 95 % interval. A memory of the whole"
        " document promises a line that rises to the right; one that is level near 0 says that it brings"
        " nothing."
    )
    figures = [_position_figure(found.bins, found.runs, "nats", colours, loss)]
    if any(run.gain is not None for run in found.runs):
        figures.append(_position_figure(found.bins, found.runs, "gain", colours, gain))
    return section("positions", heading, tag("div", *figures, class_="pair"))
