"""The page of a run: how far it is, how long it still takes, curves, labels so far, notes and log. It brings
itself up to date by the site's script; without one it is reloaded by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from reports.html.charts import Line, figure, line_chart
from reports.html.formats import count, number, percent
from reports.html.markup import Html, clipped, join, table, tag
from reports.labels.glance import best_by_k, positive_rates
from reports.site import layout
from reports.watching.run_state import RUNNING, UNCHANGED, WAITING, RunState, StageRow

SECONDS = 2  # between two looks
NOTES, REASONS, LINE = 5, 2, 400
SHOWN_K = (1, 2, 5, 10, 20)
CURVES = {
    "lm_loss": ("Loss of the language model", "nats a token"),
    "ranking_loss": ("Ranking loss of the retriever", "nats"),
    "recall_at_2": ("Recall of the retriever's first 2", "share"),
    "recall_at_10": ("Recall of the retriever's first 10", "share"),
}
ENDS = {"ran": "done", "restored": "restored from the cache", "failed": "failed"}
SITE = layout.Site(
    "The run", (("Run", "/", "h"), ("Help", "/help", "?")), (("h", "the run"), ("?", "this list"))
)
TERMS = (
    (
        "waiting",
        "Not reached yet; the reasons say what changed. It may turn out that nothing has to be done.",
    ),
    ("restored", "DVC had this result already, from the same inputs, code and parameters."),
    ("unchanged", "Nothing of what it depends on has changed."),
    (
        "left",
        "Seconds by what the stage says, or else by how long it took when it last ran on this machine.",
    ),
    (
        "recall",
        "The share of a query's candidates with s_t > 0 among the retriever's first k, over a batch.",
    ),
)
Steps = Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class Watched:
    """A run, and what is known beside its log.

    Attributes:
        goes: what holds the workspace now, such as `rpt run (process 17), since 10:41:02`; None if nothing.
        usual: seconds that a stage took when it last ran here.
        steps: for each run that trains or has trained, rows of its training log, at most a few hundred.
        labels: finished labels of each corpus that is being scored: doc_id, split, query_chunk, rank,
            target_score; tokens of a chunk.
        now: seconds since 1970.
    """

    state: RunState
    goes: str | None
    usual: Mapping[str, float]
    steps: Mapping[str, Steps]
    labels: Mapping[str, tuple[pl.DataFrame, int]]
    now: float


def render(watched: Watched) -> str:
    """The page."""
    state = watched.state
    title, about = _title(watched), tag("p", _told(watched), class_="note", data_refresh=SECONDS)
    if not state.stages and state.failure is None:
        return layout.page(SITE, title, tag("h1", title), about, kind="run")
    parts = [tag("h1", title), about, *_failure(state), *_running(watched)]
    parts += [
        *_curves(watched.steps),
        *_labels(watched.labels),
        _stages(watched),
        *_notes(state),
        *_log(state),
    ]
    return layout.page(SITE, title, *parts, kind="run")


def help_page() -> str:
    """What the words mean."""
    return layout.help_page(SITE, TERMS)


def clock(seconds: float | None) -> str:
    """`1:05`, `2:01:05`; a dash for None."""
    if seconds is None:
        return "\N{EN DASH}"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _title(watched: Watched) -> str:
    state = watched.state
    if state.failure is not None:
        return f"Failed: {state.failure.what}"
    if state.results is not None:
        return "Finished"
    if watched.goes is None:
        return "Stopped before its end" if state.stages else "No run yet"
    ended = sum(row.state not in (WAITING, RUNNING) for row in state.stages.values())
    return f"{ended} of {len(state.stages)} stages" if state.stages else "A run begins"


def _told(watched: Watched) -> str:
    state = watched.state
    if watched.goes is None:
        again = "the same command goes on" if state.stages and not state.ended else "./rpt run begins one"
        return f"Nothing runs in this workspace now; {again}."
    if state.ended:
        return f"{watched.goes}."
    rows = [row.expected(watched.usual.get(row.stage), watched.now) for row in state.stages.values()]
    known, unknown = sum(seconds for seconds in rows if seconds is not None), rows.count(None)
    parts = [f"about {clock(known)} left"] if known else []
    parts += [f"not counted: {unknown} never timed here"] if unknown else []
    return f"{'; '.join([watched.goes, *parts])}."


def _failure(state: RunState) -> list[Html]:
    if state.failure is None:
        return []
    said = {"cause": state.failure.cause, "remedy": state.failure.remedy}
    return [tag("p", tag("strong", name), " ", words) for name, words in said.items()]


def _running(watched: Watched) -> list[Html]:
    """The stage that runs, with a bar."""
    found = []
    for row in watched.state.stages.values():
        if row.state == RUNNING and watched.goes and not watched.state.ended:
            share = row.done / row.total if row.total else None
            bar = tag("progress", max=1, value=share, aria_label=row.stage)
            known = share is not None
            left = row.expected(watched.usual.get(row.stage), watched.now)
            words = [f"{percent(share)}, {_figures(row)}"] if known else ["starting"]
            words += [f"{clock(left)} left"] if left is not None else []
            found.append(
                tag("section", tag("h2", row.stage), tag("p", bar, " ", ", ".join(words)), class_="now")
            )
    return found


def _figures(row: StageRow) -> str:
    figures = f"{row.done:,g} of {row.total:,g} {row.unit}"
    figures += f", {row.rate:.3g} a second" if row.rate else ""
    return f"{figures}, {row.detail}" if row.detail else figures


def _curves(steps: Mapping[str, Steps]) -> list[Html]:
    drawn = [_chart(steps, name, title, unit) for name, (title, unit) in CURVES.items()]
    drawn = [chart for chart in drawn if chart]
    return [tag("section", tag("h2", "Training"), tag("div", *drawn, class_="charts"))] if drawn else []


def _chart(steps: Mapping[str, Steps], name: str, title: str, unit: str) -> Html:
    """A curve a run; nothing if no run has these values."""
    curves = {run: [(row["step"], row[name]) for row in rows if name in row] for run, rows in steps.items()}
    lines = [Line(run, points, colour) for colour, (run, points) in enumerate(curves.items()) if points]
    if not lines:
        return Html()
    last = [[line.name, count(line.points[-1][0]), number(line.points[-1][1], 3)] for line in lines]

    def draw(width: int) -> Html:
        return line_chart(lines, title=title, x_label="step", y_label=unit, width=width)

    return figure(draw, [f"{title}, {unit}."], ["run", "last step", unit], last)


def _labels(found: Mapping[str, tuple[pl.DataFrame, int]]) -> list[Html]:
    """A row a split of every corpus that is being scored."""
    rows = []
    for corpus, (labels, chunk_tokens) in found.items():
        for split, rate in positive_rates(labels).items():
            part = labels.filter(pl.col("split") == split)
            best = best_by_k(labels, split, chunk_tokens, SHOWN_K)
            counts = [count(part.select("doc_id", "query_chunk").n_unique()), count(len(part))]
            rows.append(
                [corpus, split, *counts, percent(rate)]
                + [number(best.get(k), 3, signed=True) if k in best else "" for k in SHOWN_K]
            )
    if not rows:
        return []
    head = ["corpus", "split", "queries", "pairs", "s_t > 0", *(f"best of {k}" for k in SHOWN_K)]
    note = tag("p", "From the shards that are finished; best s_t in nats a token.", class_="note")
    return [tag("section", tag("h2", "Labels so far"), table(head, rows, numeric_from=2), note)]


def _stages(watched: Watched) -> Html:
    rows = [_row(row, watched) for row in watched.state.stages.values()]
    return tag("section", tag("h2", "Stages"), table(["stage", "state", "took", "left"], rows))


def _row(row: StageRow, watched: Watched) -> list[str]:
    more = "; ".join(row.reasons[:REASONS]) if row.state == WAITING else row.detail
    name = join([row.stage, tag("span", clipped(more, LINE), class_="about")]) if more else row.stage
    if row.unchanged:
        return [name, UNCHANGED, "", ""]
    if row.state in ENDS:
        return [name, ENDS[row.state], clock(row.took), ""]
    return [name, row.state, "", clock(row.expected(watched.usual.get(row.stage), watched.now))]


def _notes(state: RunState) -> list[Html]:
    notes = [
        tag("div", tag("h3", stage), tag("pre", markdown.replace("**", ""), class_="chunk"))
        for stage, markdown in list(state.notes)[-NOTES:]
    ]
    return [tag("section", tag("h2", "Notes"), *notes)] if notes else []


def _log(state: RunState) -> list[Html]:
    lines = "\n".join(f"{stage}  {clipped(text, LINE)}" for stage, text in state.lines)
    return [tag("section", tag("h2", "Log"), tag("pre", lines, class_="chunk"))] if lines else []
