"""The numbers of every figure and table as CSV. Texts of documents are not in them: a spreadsheet would run some as formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]


def as_csv(rows: Sequence[Row]) -> str:
    """Rows with the keys of the first as head.

    Raises:
        ValueError: if a row has a key that the first one lacks.
    """
    written = io.StringIO()
    table = csv.DictWriter(written, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return written.getvalue()


def _flat(row: Row, prefix: str = "") -> Row:
    """Nested figures as columns: {"gain": {"nats": 1}} becomes gain_nats."""
    found: Row = {}
    for name, value in row.items():
        found |= _flat(value, f"{prefix}{name}_") if isinstance(value, dict) else {prefix + name: value}
    return found


def _interval(figure: Row | None, value: str = "value", *more: str) -> Row:
    """An estimate with empty cells where there is none."""
    return {name: (figure or {}).get(name) for name in (value, "low", "high", *more)}


def _systems(systems: list[Row]) -> list[Row]:
    kept = ("run", "system", "seed", "parameters", "perplexity", "low", "high", "macro_perplexity", "perplexity_with_neighbours")
    counted = ("nats_per_token", "bits_per_token", "bits_per_byte", "tokens", "documents")
    gains = {"gain_over_transformer_xl": "difference", "gain_over_random": "over_random"}
    return [
        _flat({**{name: row[name] for name in (*kept, *counted)}, **{name: _interval(row[key], "nats") for name, key in gains.items()}})
        for row in systems
    ]


def _positions(positions: Row) -> list[Row]:
    return [
        _flat({"run": run["run"], "system": run["system"], **bin_, "nats": _interval(nats), "gain": _interval(gain)})
        for run in positions["runs"]
        for bin_, nats, gain in zip(positions["bins"], run["nats"], run["gain"] or [None] * len(run["nats"]), strict=True)
    ]


def _ceiling(row: Row) -> Row:
    return {**row, **{name: _interval(row[name]) for name in ("gain", "gain_with_neighbours", "over_training")}}


def _retrieval(report: Row) -> list[Row]:
    return [_flat({"list": name, **row}) for name in ("retrieval", "rerank", "exhaustive") for row in report[name]]


def _examples(examples: list[Row]) -> list[Row]:
    named = ("run", "system", "kind", "doc_id", "query_chunk", "gain")
    return [
        {**{name: row[name] for name in named}, "retrieved": place, **{name: neighbour[name] for name in ("chunk", "gate", "score")}}
        for row in examples
        for place, neighbour in enumerate(row["neighbours"], 1)
    ]


def csv_tables(report: Row) -> dict[str, str]:
    """CSV text by the name of its file: tables 2 and 3, figures 3, 4, 6 and 7, and what the paper does not have; no file where no row."""
    tables = {
        "table_2_perplexity": _systems(report["systems"]),
        "table_3_retrieval": _retrieval(report),
        "table_3_retrieved_scored": report["retrieved"],
        "frozen_reader": [_flat({**row, "gain": _interval(row["gain"], "nats")}) for row in report["frozen_reader"]],
        "seeds": report["seeds"],
        "orders": report["orders"],
        "figure_3_lengths": report["data"]["lengths"],
        "figure_4_overlap": [_flat(row) for row in report["overlap"]],
        "figure_6_gold": report["subgroups"],
        "figure_7_examples": _examples(report["gain_examples"]),
        "neighbours_at_test": [_flat({**row, "gain": _interval(row["gain"], "nats")}) for row in report["settings"]],
        "oracle": [
            _flat({**row, **{name: _interval(row[name], "value", "left_out") for name in ("gap_closed", "gap_closed_scored")}})
            for row in report["oracles"]
        ],
        "oracle_all": [_flat(row) for row in report["oracles_all"]],
        "ceilings": [_flat(_ceiling(row)) for row in report["ceilings"]],
        "positions": _positions(report["positions"]),
    }
    return {name: as_csv(rows) for name, rows in tables.items() if rows}
