"""The part of the page on perplexity: the paper's Table 2 with this run in it, intervals, paired gains and
every way to count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from data_contracts.evaluations import OWN
from reports.html.charts import Dot, dot_chart, figure
from reports.html.formats import Number, count, finite, interval, number, size
from reports.html.markup import Html, clipped, table, tag
from reports.html.parts import NAME, NOT_LOGGED, empty, measured, section
from reports.metrics.neighbours_at_test import OracleFigures, SettingFigures
from reports.metrics.published import CORPORA, TABLE_2, name_of, names_of
from reports.metrics.run_figures import Gain
from reports.metrics.seeds import DEVIATIONS, FEWEST_SEEDS, Order, SeedFigures
from reports.run.report import Evaluated, System

Systems = Sequence[System]
Others = Sequence[SettingFigures | OracleFigures]


def _against(systems: Systems, gains: Sequence[Gain | None]) -> str:
    """The run that others are compared with, by its name."""
    system_of = {system.run: system.system for system in systems}
    against = dict.fromkeys(gain.against for gain in gains if gain is not None)
    if len(against) > 1:
        return f"{clipped(name_of(system_of[next(iter(against))]), NAME)} of the same seed"
    names = names_of(system_of)
    return "".join(clipped(names.get(run, run), NAME) for run in against)


Cells = list[Html | str]


def _own_cells(row: System | SettingFigures | OracleFigures, parameters: Number, best: Number) -> Cells:
    figure = number(row.perplexity)
    bold = best is not None and row.perplexity == best
    return [tag("b", figure) if bold else figure, interval(row.low, row.high), size(parameters)]


def _seed_row(name: str, seeds: SeedFigures, parameters: Number, best: Number) -> Cells:
    """What the runs of a system reach together: mean and standard deviation over seeds."""
    spread = f"{number(seeds.mean)} \N{PLUS-MINUS SIGN} {number(seeds.deviation, 3)}"
    shown = tag("b", spread) if seeds.mean == best else spread
    return [f"{name}, {count(seeds.runs)} seeds", shown, NOT_LOGGED, size(parameters)]


def _lowest(systems: Systems, over_seeds: Mapping[str, SeedFigures]) -> Number:
    """The lowest perplexity of several systems, of one with several seeds their mean, as its luckiest seed
    is no fair figure beside others; None of one system alone, which nothing is compared with.
    """
    means = {
        system.system: over_seeds[system.system].mean for system in systems if system.system in over_seeds
    }
    alone = [system.perplexity for system in systems if system.system not in over_seeds]
    known = [value for value in (*means.values(), *alone) if finite(value)]
    return min(known) if len(known) > 1 else None  # type: ignore[type-var]


def table_2(systems: Systems, other_settings: Others, seeds: Sequence[SeedFigures], split: str) -> list[Html]:
    """The paper's rows in its order with this run's figures before its own, then the systems that the paper
    does not have; of one that was trained with several seeds first their mean. Rows that this run has not are
    folded away.

    `other_settings` are rows of a run with other neighbours at test, the oracle's among them; those over
    fewer documents than the run itself are left out, as no figure of this column compares with them.
    """
    parameters, documents = (
        {row.run: row.parameters for row in systems},
        {row.run: row.documents for row in systems},
    )
    whole = [row for row in other_settings if row.documents == documents.get(row.run)]
    left, over_seeds = list(systems), {row.system: row for row in seeds}
    seeded, best = set(over_seeds), _lowest(systems, over_seeds)
    rows, absent = list[Cells](), list[Cells]()
    for published in TABLE_2:
        candidates = systems if published.setting == OWN else whole
        ours = [
            row for row in candidates if (row.system, row.setting) == (published.system, published.setting)
        ]
        left = [system for system in left if system not in ours]
        cells = [
            *(number(value) for value in published.perplexity),
            published.parameters,
            f"{number(published.time)}" if published.time else "",
        ]
        if ours and published.setting == OWN and published.system in over_seeds:
            size_of_one = parameters.get(ours[0].run)
            of_seeds = over_seeds[published.system]
            rows.append([*_seed_row(published.name, of_seeds, size_of_one, best), *cells])
        for row in ours:
            name = published.name + ("" if len(ours) == 1 else f" ({clipped(row.run, NAME)})")
            lowest = best if published.setting == OWN and row.system not in seeded else None
            rows.append([name, *_own_cells(row, parameters.get(row.run), lowest), *cells])
        if not ours:
            absent.append([published.name, *cells])
    names = names_of({system.run: system.system for system in systems})
    blank: Cells = [NOT_LOGGED] * (len(CORPORA) + 2)
    for system in left:
        if found := over_seeds.pop(system.system, None):
            name = clipped(name_of(system.system), NAME)
            rows.append([*_seed_row(name, found, system.parameters, best), *blank])
        lowest = None if system.system in seeded else best
        rows.append(
            [clipped(names[system.run], NAME), *_own_cells(system, system.parameters, lowest), *blank]
        )
    return [_beside_published(rows, split), *_not_here(absent)]


def _beside_published(rows: list[Cells], split: str) -> Html:
    head = ["", "perplexity", "95 % interval", "parameters", *CORPORA, "parameters", "time"]
    spans = [tag("td"), tag("th", f"this run, {split} split", colspan=3, scope="colgroup")]
    words, columns = "published: other corpora and scale", len(CORPORA) + 2
    spans.append(tag("th", words, colspan=columns, scope="colgroup", class_="foreign"))
    return tag("div", table(head, rows, groups=tag("tr", *spans)), class_="systems published")


def _not_here(rows: list[Cells]) -> list[Html]:
    """The paper's other rows, behind a summary."""
    if not rows:
        return []
    words = f"{len(rows)} more rows of the paper, which this run has not over all its documents"
    shown = tag("div", table(["", *CORPORA, "parameters", "time"], rows), class_="systems")
    return [tag("details", tag("summary", words), shown)]


def _every_way(systems: Systems) -> Html:
    """All figures of a run that the protocol asks for."""
    over = _against(systems, [system.difference for system in systems])
    random = _against(systems, [system.over_random for system in systems])
    head = [
        "run",
        "seed",
        "perplexity",
        "macro mean",
        "with neighbours",
        "nats a token",
        "bits a token",
        "bits a byte",
    ]
    head += [
        f"gain over {over}, nats a token" if over else "gain",
        *([f"gain over {random}"] if random else []),
        "tokens",
        "docs",
    ]
    rows = []
    for system in systems:
        row = [clipped(system.run, NAME), count(system.seed)]
        row += [
            number(value)
            for value in (system.perplexity, system.macro_perplexity, system.perplexity_with_neighbours)
        ]
        row += [number(value, 3) for value in (system.nats_per_token, system.bits_per_token)]
        row += [measured(system.bits_per_byte, 3), measured(system.difference, 3, signed=True)]
        row += [measured(system.over_random, 3, signed=True)] if random else []
        rows.append([*row, count(system.tokens), count(system.documents)])
    return tag("div", table(head, rows), class_="systems")


def _seeds(rows: Sequence[SeedFigures], orders: Sequence[Order]) -> list[Html]:
    if not rows:
        return []
    body = [
        [clipped(name_of(row.system), NAME), count(row.runs), number(row.mean), number(row.deviation, 3)]
        for row in rows
    ]
    words = (
        "Training again with another seed gives another perplexity. An order of two systems is claimed only"
        f" with {FEWEST_SEEDS} seeds of each and a gap of more than {DEVIATIONS:g} pooled standard"
        " deviations; the intervals above do not hold this."
    )
    claimed = [
        [
            *(clipped(name_of(system), NAME) for system in (row.better, row.worse)),
            number(row.gap),
            number(row.pooled_deviation, 3),
        ]
        for row in orders
    ]
    head = ["better", "worse", "gap in perplexity", "pooled standard deviation"]
    shown = table(head, claimed, numeric_from=2) if orders else empty("None may be claimed.")
    heading = tag("h3", "What the seed does")
    return [
        heading,
        table(["system, over its seeds", "runs", "mean perplexity", "standard deviation"], body),
        empty(words),
        shown,
    ]


def _perplexity_figure(systems: Systems, split: str) -> Html:
    dots = [
        Dot(clipped(s.run, NAME), s.perplexity, s.low, s.high, colour) for colour, s in enumerate(systems)
    ]
    dots.sort(key=lambda dot: dot.value if dot.value is not None and finite(dot.value) else math.inf)
    caption = (
        f"Perplexity on the {split} split, lowest first. Dot: over all its tokens. Line: 95 % interval,"
        " resampling documents and blocks within them. Much of its width is how hard the documents are,"
        " which all systems share: overlap settles nothing, the paired gain does."
    )
    rows = [[dot.name, number(dot.value), number(dot.low), number(dot.high)] for dot in dots]
    title = f"Perplexity of each run, {split} split"
    label = "perplexity (lower is better)"
    return figure(
        lambda width: dot_chart(dots, title=title, x_label=label, width=width),
        [caption],
        ["run", "perplexity", "low", "high"],
        rows,
        width=550,
    )


def _gain_figure(systems: Systems) -> Html:
    dots = [
        Dot(clipped(s.run, NAME), s.difference.value, s.difference.low, s.difference.high, colour, 3)
        for colour, s in enumerate(systems)
        if s.difference is not None
    ]
    against = _against(systems, [system.difference for system in systems])
    caption = (
        f"Gain over {against}: its loss minus that of the run, on the same tokens and the same resamples."
        " Right of 0 is better. Where the line crosses 0, the two cannot be told apart; chance in training"
        " (the seed) is not in the interval."
    )
    rows = [
        [
            dot.name,
            number(dot.value, 3, signed=True),
            *(number(end, 3, signed=True) for end in (dot.low, dot.high)),
        ]
        for dot in dots
    ]

    def draw(width: int) -> Html:
        label = "nats a token (higher is better)"
        return dot_chart(
            dots, title=f"Gain over {against}", x_label=label, width=width, reference=0.0, signed=True
        )

    return figure(draw, [caption], ["run", "gain", "low", "high"], rows, width=550)


def _counted(evaluation: Evaluated) -> str:
    """Which tokens count, in a sentence."""
    cut = evaluation.documents_cut
    end = (
        f" up to token {count(evaluation.max_tokens_per_document)}, where {count(cut)} of them were cut"
        if cut != 0
        else ""
    )
    return (
        f"Every token after the first of a document is counted{end}, the same ones for all, which a digest"
        " has shown. "
    )


def perplexity(
    evaluation: Evaluated,
    systems: Systems,
    seeds: Sequence[SeedFigures],
    orders: Sequence[Order],
    other_settings: Others,
) -> Html:
    """Dots with intervals, paired gains, Table 2, the table of all figures, what the seed does, and which
    orders may be claimed.
    """
    if not systems:
        return section("perplexity", "Perplexity", empty("No system was evaluated."))
    split = clipped(evaluation.split, NAME)
    figures = [_perplexity_figure(systems, split)]
    if any(system.difference is not None for system in systems):
        figures.append(_gain_figure(systems))
    published = (
        "The paper's Table 2. The grey columns are its figures, for models of 200 M parameters on corpora of"
        " billions of tokens with another tokenizer: they show the order that was published, and are not"
        " comparable in value. An oracle chooses neighbours with sight of the target, among the scored"
        " candidates: it is no system, and not the best that could be chosen. The lowest perplexity of a"
        " system, of one with several seeds their mean, is bold; what was measured over fewer documents is"
        " under Neighbours."
    )
    ways = (
        f"{_counted(evaluation)}“With neighbours” are those whose chunk had something to retrieve, the only"
        " place where retrieval can help. “Macro mean” averages documents instead of tokens. Bits a byte do"
        " not depend on the tokenizer. What a system gains by choosing its neighbours, and not by having"
        " more parameters, is its gain over a system that reads random ones, where one was trained."
    )
    tables = [
        *table_2(systems, other_settings, seeds, split),
        empty(published),
        _every_way(systems),
        empty(ways),
        *_seeds(seeds, orders),
    ]
    return section("perplexity", "Perplexity", tag("div", *figures, class_="pair"), *tables)
