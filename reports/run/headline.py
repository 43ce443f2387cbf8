"""The three sentences to remember, what must be known before believing a figure, and the numbers worth following between commits."""

from __future__ import annotations

from typing import Any

from reports.html.formats import number
from reports.metrics.published import names_of
from reports.metrics.resampling import FEWEST_DOCUMENTS

MOST = 6  # systems, or retrievers, that a sentence names


def _precision(row: dict) -> str:
    """A retriever's Precision@2 with its interval, if it has one."""
    interval = "" if row["low"] is None else f" [{row['low']:.1%}, {row['high']:.1%}]"
    return f"{row['retriever']} {row['precision_at_2']:.1%}{interval}"


def _perplexities(rows: list[tuple[str, dict]]) -> str:
    """Each with its interval; of many the first, and the lowest and the highest of the others."""
    first, others = rows[0], [row for row in rows[1:] if row[1]["perplexity"] is not None]
    if len(rows) <= MOST or len(others) < MOST:
        return ", ".join(_perplexity(*row) for row in rows)
    lowest, *_, highest = sorted(others, key=lambda row: row[1]["perplexity"])
    return f"{_perplexity(*first)}; of {len(rows) - 1} others {_perplexity(*lowest)} is the lowest, {_perplexity(*highest)} the highest"


def _perplexity(name: str, row: dict) -> str:
    return f"{name} {number(row['perplexity'])} [{number(row['low'])}, {number(row['high'])}]"


def headline(systems: list[dict], labels: dict, measured: list[dict], retrieved: list[dict], small: bool, split: str) -> list[str]:
    """The three figures to remember."""
    names = names_of({row["run"]: row["system"] for row in systems})
    values = _perplexities([(names[row["run"]], row) for row in systems])
    first = systems[0]
    where = f"{first['documents']} held-out documents ({first['tokens']:,} tokens)"
    best = labels["best"].get(split)
    gain = f"; the best of {best['k']} is worth {best['value']:.3f} nats a target token" if best else ""
    rates = ", ".join(f"{split} {rate:.1%}" for split, rate in labels["positive_rate"].items())
    against = "where all that was retrieved is scored" if retrieved else "against the labels"
    figures = retrieved or [{**row, **row["intervals"]["precision_at_2"]} for row in measured]
    known = [row for row in figures if row["precision_at_2"] is not None]
    more = f", and {len(known) - MOST} more" if len(known) > MOST else ""
    precision = ", ".join(_precision(row) for row in known[:MOST]) + more
    return [
        f"Perplexity on {where}: {values}"
        + ("; a small-scale run: it shows that the chain works, not which system is better" if small else ""),
        f"Labels: {labels['pairs']:,} candidates of {labels['queries']:,} queries scored, of which help the reference LM: {rates}{gain}",
        f"Retrieval, Precision@2 {against}: {precision}",
    ]


NOT_OF_THE_PAPER = {
    "copying": "Not as in the paper: the heads of every system but the official forms are told where the same tokens stood before and "
    "begin with reading what followed them (training.copying), because models trained for minutes do not learn that.",
    "lexical_start": "Not as in the paper: a retriever's scores begin with the tokens that two chunks share and with how near they are "
    "(training.lexical_start), because projections alone begin with scores by chance and minutes of training do not mend that.",
}
"""What small runs may have that the paper has not, by its name in `training`."""


def warnings(gates: list[dict], systems: list[dict]) -> list[str]:
    """Everything a reader must know before believing a figure. A system says by the names of `NOT_OF_THE_PAPER` what it had."""
    found = [f"Weak labels: {gate['sentence']}" for gate in gates if not gate["passed"]]
    if (documents := systems[0]["documents"]) < FEWEST_DOCUMENTS:
        found.append(f"Interval not meaningful: {documents} held-out documents, fewer than {FEWEST_DOCUMENTS}.")
    return found + [sentence for name, sentence in NOT_OF_THE_PAPER.items() if any(system[name] for system in systems)]


def metrics(result: dict[str, Any]) -> dict[str, Any]:
    """The few numbers worth following from commit to commit; a model that diverged has no perplexity."""
    return {
        "perplexity": {row["run"]: round(row["perplexity"], 4) for row in result["systems"] if row["perplexity"] is not None},
        "precision_at_2": {row["retriever"]: row["precision_at_2"] for row in result["retrieval"]},
        "positive_rate": result["labels"]["positive_rate"],
        "pairs": result["labels"]["pairs"],
    }
