"""The three sentences to remember, what must be known before believing a figure, and the numbers worth
following between commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from reports.html.formats import number
from reports.labels.findings import gate_warnings
from reports.labels.report import LabelSection
from reports.metrics.gates import GateFigures
from reports.metrics.published import names_of
from reports.metrics.resampling import FEWEST_DOCUMENTS, Estimate
from reports.metrics.retrieval_rows import RetrieverFigures
from reports.metrics.retrieved_sample import SampleFigures
from reports.run.report import RunReport, System

MOST = 6  # systems, or retrievers, that a sentence names


def _precision(retriever: str, found: Estimate) -> str:
    """A retriever's Precision@2 with its interval, if it has one."""
    interval = "" if found.low is None else f" [{found.low:.1%}, {found.high:.1%}]"
    return f"{retriever} {found.value:.1%}{interval}"


def _perplexities(rows: Sequence[tuple[str, System]]) -> str:
    """Each with its interval; of many the first, and the lowest and the highest of the others."""
    first, others = rows[0], [row for row in rows[1:] if row[1].perplexity is not None]
    if len(rows) <= MOST or len(others) < MOST:
        return ", ".join(_perplexity(*row) for row in rows)
    lowest, *_, highest = sorted(others, key=lambda row: row[1].perplexity or 0.0)
    return (
        f"{_perplexity(*first)}; of {len(rows) - 1} others {_perplexity(*lowest)} is the lowest,"
        f" {_perplexity(*highest)} the highest"
    )


def _perplexity(name: str, row: System) -> str:
    return f"{name} {number(row.perplexity)} [{number(row.low)}, {number(row.high)}]"


def headline(
    systems: Sequence[System],
    labels: LabelSection,
    measured: Sequence[RetrieverFigures],
    retrieved: Sequence[SampleFigures],
    small: bool,
    split: str,
) -> list[str]:
    """The three figures to remember."""
    names = names_of({row.run: row.system for row in systems})
    values = _perplexities([(names[row.run], row) for row in systems])
    first = systems[0]
    where = f"{first.documents} held-out documents ({first.tokens:,} tokens)"
    best = labels.best.get(split)
    gain = f"; the best of {best.k} is worth {best.value:.3f} nats a target token" if best else ""
    rates = ", ".join(f"{split} {rate:.1%}" for split, rate in labels.positive_rate.items())
    against = "where all that was retrieved is scored" if retrieved else "against the labels"
    figures = [(row.retriever, row.precision_at_2) for row in retrieved]
    figures = figures or [(row.retriever, row.figures["precision_at_2"]) for row in measured]
    known = [row for row in figures if row[1].value is not None]
    more = f", and {len(known) - MOST} more" if len(known) > MOST else ""
    precision = ", ".join(_precision(*row) for row in known[:MOST]) + more
    return [
        f"Perplexity on {where}: {values}"
        + ("; a small-scale run: it shows that the chain works, not which system is better" if small else ""),
        (
            f"Labels: {labels.pairs:,} candidates of {labels.queries:,} queries scored, of which help the"
            f" reference LM: {rates}{gain}"
        ),
        f"Retrieval, Precision@2 {against}: {precision}",
    ]


NOT_OF_THE_PAPER = {
    "copying": (
        "Not as in the paper: the heads of every system but the official forms are told where the same tokens"
        " stood before and begin with reading what followed them (training.copying), because models trained"
        " for minutes do not learn that."
    ),
    "lexical_start": (
        "Not as in the paper: a retriever's scores begin with the tokens that two chunks share and with how"
        " near they are (training.lexical_start), because projections alone begin with scores by chance and"
        " minutes of training do not mend that."
    ),
}
"""What small runs may have that the paper has not, by its name in `training`."""


def warnings(gates: Sequence[GateFigures], systems: Sequence[System]) -> list[str]:
    """Everything a reader must know before believing a figure. A system says by the names of
    `NOT_OF_THE_PAPER` what it had.
    """
    found = gate_warnings(gates)
    if (documents := systems[0].documents) < FEWEST_DOCUMENTS:
        found.append(
            f"Interval not meaningful: {documents} held-out documents, fewer than {FEWEST_DOCUMENTS}."
        )
    return found + [
        sentence
        for name, sentence in NOT_OF_THE_PAPER.items()
        if any(getattr(system, name) for system in systems)
    ]


class Metrics(TypedDict):
    """What `dvc metrics show` reads."""

    perplexity: dict[str, float]
    precision_at_2: dict[str, float | None]
    positive_rate: dict[str, float | None]
    pairs: int


def metrics(report: RunReport) -> Metrics:
    """The few numbers worth following from commit to commit; a model that diverged has no perplexity."""
    return {
        "perplexity": {
            row.run: round(row.perplexity, 4) for row in report.systems if row.perplexity is not None
        },
        "precision_at_2": {row.retriever: row.figures["precision_at_2"].value for row in report.retrieval},
        "positive_rate": dict(report.labels.positive_rate),
        "pairs": report.labels.pairs,
    }
