"""What the paper printed, in its order: the rows of Tables 2 and 4 and the figures of Table 3."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from data_contracts.evaluations import OWN
from data_contracts.systems import RECORDS, Published

CORPORA = ("ArXiv", "Code", "PG19", "Books3")


def name_of(system: str) -> str:
    """A system's name as the paper writes it."""
    return RECORDS[system].title if system in RECORDS else system


def names_of(systems: Mapping[str, str]) -> dict[str, str]:
    """The name of each run, given the system of each: the system's, or the run's own where several are of one
    system.
    """
    runs = Counter(systems.values())
    return {run: name_of(system) if runs[system] == 1 else run for run, system in systems.items()}


@dataclass(frozen=True)
class Row(Published):
    """A line of Table 2 or 4, and the system of ours that it is to be compared with."""

    system: str = ""


def _rows(table: int) -> tuple[Row, ...]:
    """The lines of a table in its order, from the records of the systems."""
    rows = [
        Row(**vars(line), system=record.name)
        for record in RECORDS.values()
        for line in record.published
        if line.table == table
    ]
    return tuple(sorted(rows, key=lambda row: row.line))


TABLE_2, TABLE_4 = _rows(2), _rows(4)

AVERAGE = "Average"
RETRIEVERS = ("BM25", "RPT-Lex", "RPT-Sem")
TABLE_3: dict[str, dict[str, tuple[float, ...]]] = {  # percent, by `RETRIEVERS`
    "ArXiv": {"precision_at_2": (27, 26, 32), "recall_at_10": (55, 54, 58), "ndcg_at_20": (24, 24, 30)},
    "Code": {"precision_at_2": (29, 26, 34), "recall_at_10": (53, 52, 56), "ndcg_at_20": (25, 23, 30)},
    "PG19": {"precision_at_2": (22, 22, 28), "recall_at_10": (55, 55, 61), "ndcg_at_20": (18, 18, 23)},
    "Books3": {"precision_at_2": (23, 19, 26), "recall_at_10": (55, 50, 58), "ndcg_at_20": (18, 16, 22)},
    AVERAGE: {
        "precision_at_2": (25.2, 23.2, 30.0),
        "recall_at_10": (54.5, 52.7, 58.2),
        "ndcg_at_20": (21.2, 20.2, 26.2),
    },
}


def published_perplexity(system: str) -> dict[str, float]:
    """A system's perplexity by corpus as Table 2 has it; empty for one that the paper does not have."""
    return next(
        (
            dict(zip(CORPORA, row.perplexity, strict=True))
            for row in TABLE_2
            if (row.system, row.setting) == (system, OWN)
        ),
        {},
    )
