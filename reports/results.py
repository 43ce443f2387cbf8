"""The part of the page that answers "what came out": perplexity of the systems, their training curves, retrieval against gold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from reports.charts import Dot, Line, dot_chart, figure, line_chart
from reports.formats import NOT_AVAILABLE, Number, count, finite, interval, number, size
from reports.markup import Html, clipped, join, table, tag

CURVE_POINTS = 100
CURVE_ROWS = 20
NAME = 80
NOT_LOGGED = "\N{EN DASH}"
TIMES = "\N{MULTIPLICATION SIGN}"
Curve = Sequence[Sequence[Number]]


def section(anchor: str, heading: str, *content: Html) -> Html:
    """A titled part of the page that the navigation links to."""
    return tag("section", tag("h2", heading), *content, id=anchor)


def in_split_order(values: dict[str, Any]) -> list[tuple[str, Any]]:
    """The items with train, validation and test first, in this order."""
    order = ("train", "validation", "test")
    return sorted(values.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order))


def empty(text: str) -> Html:
    """What stands where there is nothing to show."""
    return tag("p", text, class_="note")


def averaged(curve: Curve, limit: int = CURVE_POINTS) -> list[tuple[float, Number]]:
    """At most `limit` points of a curve of (step, value): means over equal numbers of points; None where one of them is not finite."""
    points = [(float(step), value) for step, value in curve if step is not None and finite(step)]
    group = max(1, math.ceil(len(points) / limit))
    means: list[tuple[float, Number]] = []
    for start in range(0, len(points), group):
        part = points[start : start + group]
        values = [value for _, value in part if value is not None and finite(value)]
        middle = sum(step for step, _ in part) / len(part)
        means.append((middle, sum(values) / len(part) if len(values) == len(part) else None))
    return means


def curve_table(names: Sequence[str], curves: Sequence[Curve]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the logged values at about `CURVE_ROWS` of the steps, the first and the last among them."""
    by_step = [{float(step): value for step, value in curve if step is not None and finite(step)} for curve in curves]
    steps = sorted(set().union(*by_step))
    stride = max(1, math.ceil((len(steps) - 1) / (CURVE_ROWS - 1)))
    chosen = steps[:-1:stride] + steps[-1:]
    rows = [[count(step), *(number(values[step], 3) if step in values else NOT_LOGGED for values in by_step)] for step in chosen]
    return ["step", *names], rows


def _published_names(systems: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for system in systems for name in system["published"] or {}))


def _against(systems: Sequence[dict[str, Any]]) -> str:
    """The systems that others are compared with, usually one."""
    return ", ".join(dict.fromkeys(clipped(s["difference"]["against"], NAME) for s in systems if s["difference"] is not None))


def _gain(difference: dict[str, Any] | None) -> str:
    if difference is None:
        return NOT_LOGGED
    return f"{number(difference['nats'], 3, signed=True)} {interval(difference['low'], difference['high'], 3, signed=True)}"


def _systems_table(systems: Sequence[dict[str, Any]]) -> Html:
    published = _published_names(systems)
    head = ["run", "parameters", "perplexity", "95 % interval", "macro mean", "with neighbours", "bits a token"]
    against = _against(systems)
    head += [f"gain over {against}, nats a token" if against else "gain", "tokens", "docs"]
    rows = []
    for system in systems:
        row = [clipped(system["run"], NAME), size(system["parameters"]), tag("b", number(system["perplexity"]))]
        row += [interval(system["low"], system["high"]), number(system["macro_perplexity"]), number(system["perplexity_with_neighbours"])]
        row += [number(system["bits_per_token"], 3), _gain(system["difference"]), count(system["tokens"]), count(system["documents"])]
        rows.append([*row, *(number((system["published"] or {}).get(name)) for name in published)])
    spans = [tag("td"), tag("th", "this run, test split", colspan=len(head) - 1, scope="colgroup")]
    if published:
        spans.append(tag("th", "published: other corpora and scale", colspan=len(published), scope="colgroup", class_="foreign"))
    return tag("div", table([*head, *published], rows, groups=tag("tr", *spans)), class_="systems")


def _perplexity_figure(systems: Sequence[dict[str, Any]]) -> Html:
    dots = [Dot(clipped(s["run"], NAME), s["perplexity"], s["low"], s["high"], colour) for colour, s in enumerate(systems)]
    dots.sort(key=lambda dot: dot.value if dot.value is not None and finite(dot.value) else math.inf)
    caption = (
        "Test perplexity, lowest first. Dot: over all test tokens. Line: 95 % interval, resampling documents and blocks within them. "
        "Much of its width is how hard the documents are, which all systems share: overlap settles nothing, the paired gain does."
    )
    rows = [[dot.name, number(dot.value), number(dot.low), number(dot.high)] for dot in dots]
    title = "Test perplexity of each run"
    label = "perplexity (lower is better)"
    return figure(
        lambda width: dot_chart(dots, title=title, x_label=label, width=width),
        [caption],
        ["run", "perplexity", "low", "high"],
        rows,
        width=550,
    )


def _gain_figure(systems: Sequence[dict[str, Any]]) -> Html:
    dots = [
        Dot(clipped(s["run"], NAME), s["difference"]["nats"], s["difference"]["low"], s["difference"]["high"], colour, 3)
        for colour, s in enumerate(systems)
        if s["difference"] is not None
    ]
    against = _against(systems)
    caption = (
        f"Gain over {against}: its loss minus that of the run, on the same tokens and the same resamples. Right of 0 is better. "
        "Where the line crosses 0, the two cannot be told apart; chance in training (the seed) is not in the interval."
    )
    rows = [[dot.name, number(dot.value, 3, signed=True), *(number(end, 3, signed=True) for end in (dot.low, dot.high))] for dot in dots]

    def draw(width: int) -> Html:
        label = "nats a token (higher is better)"
        return dot_chart(dots, title=f"Gain over {against}", x_label=label, width=width, reference=0.0, signed=True)

    return figure(draw, [caption], ["run", "gain", "low", "high"], rows, width=550)


def perplexity(systems: Sequence[dict[str, Any]]) -> Html:
    """Dots with intervals, paired gains, and the table with the paper's numbers beside."""
    if not systems:
        return section("perplexity", "Perplexity", empty("No system was evaluated."))
    figures = [_perplexity_figure(systems)]
    if any(system["difference"] is not None for system in systems):
        figures.append(_gain_figure(systems))
    note = (
        "“With neighbours” counts only tokens whose chunk had something to retrieve, the only place where retrieval can help. “Macro mean” "
        "averages documents instead of tokens. The grey columns are the paper's Table 2, for models of 200 M parameters on corpora of "
        "billions of tokens with another tokenizer: they show the order that was published, and are not comparable in value."
    )
    return section("perplexity", "Perplexity", tag("div", *figures, class_="pair"), _systems_table(systems), empty(note))


def training_curves(systems: Sequence[dict[str, Any]]) -> Html:
    """Training loss of every system by step."""
    if not any(system["curve"] for system in systems):
        return section("training", "Training", empty("No training losses were recorded."))
    names = [clipped(system["run"], NAME) for system in systems]
    lines = [Line(name, averaged(system["curve"]), colour) for colour, (name, system) in enumerate(zip(names, systems, strict=True))]
    caption = (
        "Training loss in nats a token. A curve that still falls at its end was stopped by the budget, not by what the system can learn; "
        f"a gap is a loss that was not finite. Longer runs are drawn as at most {CURVE_POINTS} means over neighbouring steps. RETRO's "
        "training neighbours are chosen with sight of the target, so its training loss is not comparable with the others; its test "
        "perplexity is."
    )
    head, rows = curve_table(names, [system["curve"] for system in systems])

    def draw(width: int) -> Html:
        return line_chart(lines, title="Training loss by step", x_label="step", y_label="nats a token", width=width)

    return section("training", "Training", figure(draw, [caption], head, rows))


def _against_chance(value: Number, chance: Number) -> str:
    if value is None or chance is None or not (finite(value) and finite(chance)) or chance <= 0:
        return NOT_AVAILABLE
    return f"{value / chance:.2f}{TIMES}"


def retrieval(rows: Sequence[dict[str, Any]]) -> Html:
    """Precision, recall and nDCG against gold, each beside its ratio to the random retriever."""
    if not rows:
        return section("retrieval", "Retrieval against gold", empty("No retriever was measured against gold."))
    metrics = {"precision_at_2": "precision@2", "recall_at_10": "recall@10", "ndcg_at_20": "nDCG@20"}
    random: dict[str, Any] = next((row for row in rows if row["retriever"] == "random"), {})
    head = ["retriever", *(cell for name in metrics.values() for cell in (name, f"{TIMES} chance")), "queries", "with a positive"]
    body = []
    for row in rows:
        cells = [cell for key in metrics for cell in (number(row[key], 3), _against_chance(row[key], random.get(key)))]
        name = join([clipped(row["retriever"], NAME), *([tag("small", " (chance)")] if row is random else [])])
        body.append([name, *cells, count(row["queries"]), count(row["queries_with_positive"])])
    caption = (
        "How far up each retriever ranks the chunks that helped the reference language model predict what comes next. Gold: candidates "
        "with a positive label; everything eligible is ranked and what was not labelled counts as not relevant. "
        f"1.00{TIMES} is what a random order reaches. Recall and nDCG leave out queries without a positive."
    )
    return section("retrieval", "Retrieval against gold", table(head, body), empty(caption))
