"""The numbers of every figure and table as CSV. Texts of documents are not in them: a spreadsheet would run
some as formulas.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from reports.metrics.ceilings import Ceiling
from reports.metrics.frozen_reader import FrozenFigures
from reports.metrics.gain_examples import GainExample
from reports.metrics.neighbours_at_test import OracleFigures, SettingFigures
from reports.metrics.positions import Positions
from reports.metrics.resampling import Estimate
from reports.metrics.retrieval_rows import RetrieverFigures
from reports.metrics.retrieved_sample import SampleFigures
from reports.metrics.subgroup_gain import SubgroupFigures
from reports.run.report import RunReport, System

Row = dict[str, Any]
"""Cells by the name of their column."""
_NONE = Estimate(None, None, None)


def as_csv(rows: Sequence[Mapping[str, object]]) -> str:
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


def _interval(figure: Estimate | None, value: str = "value") -> Row:
    """An estimate with empty cells where there is none."""
    found = figure or _NONE
    return {value: found.value, "low": found.low, "high": found.high}


def _system(row: System) -> Row:
    named = {"run": row.run, "system": row.system, "seed": row.seed, "parameters": row.parameters}
    perplexity = {
        "perplexity": row.perplexity,
        "low": row.low,
        "high": row.high,
        "macro_perplexity": row.macro_perplexity,
    }
    losses = {
        "nats_per_token": row.nats_per_token,
        "bits_per_token": row.bits_per_token,
        "bits_per_byte": _interval(row.bits_per_byte),
    }
    gains = {"gain_over_transformer_xl": row.difference, "gain_over_random": row.over_random}
    return _flat(
        {
            **named,
            **perplexity,
            "perplexity_with_neighbours": row.perplexity_with_neighbours,
            **losses,
            "tokens": row.tokens,
            "documents": row.documents,
            **{name: _interval(gain, "nats") for name, gain in gains.items()},
        }
    )


def _retriever(name: str, row: RetrieverFigures) -> Row:
    figures = row.figures.items()
    counts = {
        "documents": row.documents,
        "queries": row.queries,
        "queries_with_positive": row.queries_with_positive,
    }
    return {
        "list": name,
        "retriever": row.retriever,
        "system": row.system,
        **{key: figure.value for key, figure in figures},
        **{f"counted_{key}": figure.queries for key, figure in figures},
        **counts,
        **{
            f"intervals_{key}_{end}": getattr(figure, end)
            for key, figure in figures
            for end in ("low", "high")
        },
    }


def _retrieval(report: RunReport) -> list[Row]:
    lists = {"retrieval": report.retrieval, "rerank": report.rerank, "exhaustive": report.exhaustive}
    return [_retriever(name, row) for name, rows in lists.items() for row in rows]


def _sample(row: SampleFigures) -> Row:
    counts = {"queries": row.queries, "documents": row.documents}
    return {
        "retriever": row.retriever,
        "system": row.system,
        **_interval(row.precision_at_2, "precision_at_2"),
        **counts,
    }


def _subgroup(row: SubgroupFigures) -> Row:
    of = {
        "run": row.run,
        "system": row.system,
        "group": row.group,
        "chunks": row.chunks,
        "documents": row.documents,
    }
    return {**of, **_interval(row.improvement), "scored": row.scored}


def _setting(row: SettingFigures | FrozenFigures) -> Row:
    return _flat({**asdict(row), "gain": _interval(row.gain, "nats")})


def _oracle(row: OracleFigures) -> Row:
    gaps = {"gap_closed": row.gap_closed, "gap_closed_scored": row.gap_closed_scored}
    cells = {
        name: {**_interval(gap), "left_out": gap.left_out if gap else None} for name, gap in gaps.items()
    }
    return _flat({**asdict(row), **cells})


def _ceiling(row: Ceiling) -> Row:
    gains = {
        "gain": row.gain,
        "gain_with_neighbours": row.gain_with_neighbours,
        "over_training": row.over_training,
    }
    return _flat({**asdict(row), **{name: _interval(gain) for name, gain in gains.items()}})


def _positions(positions: Positions) -> list[Row]:
    return [
        _flat(
            {
                "run": run.run,
                "system": run.system,
                **asdict(bin_),
                "nats": _interval(nats),
                "gain": _interval(gain),
            }
        )
        for run in positions.runs
        for bin_, nats, gain in zip(
            positions.bins, run.nats, run.gain or [_NONE] * len(run.nats), strict=True
        )
    ]


def _examples(examples: Sequence[GainExample]) -> list[Row]:
    named = ("run", "system", "kind", "doc_id", "query_chunk", "gain")
    return [
        {
            **{name: getattr(row, name) for name in named},
            "retrieved": place,
            "chunk": neighbour.chunk,
            "gate": neighbour.gate,
            "score": neighbour.score,
        }
        for row in examples
        for place, neighbour in enumerate(row.neighbours, 1)
    ]


def csv_tables(report: RunReport) -> dict[str, str]:
    """CSV text by the name of its file: tables 2 and 3, figures 3, 4, 6 and 7, and what the paper does not
    have; no file where no row.
    """
    tables: dict[str, list[Row]] = {
        "table_2_perplexity": [_system(row) for row in report.systems],
        "table_3_retrieval": _retrieval(report),
        "table_3_retrieved_scored": [_sample(row) for row in report.retrieved],
        "frozen_reader": [_setting(row) for row in report.frozen_reader],
        "seeds": [asdict(row) for row in report.seeds],
        "orders": [asdict(row) for row in report.orders],
        "figure_3_lengths": [asdict(row) for row in report.data.lengths],
        "figure_4_overlap": [_flat(asdict(row)) for row in report.overlap],
        "figure_6_gold": [_subgroup(row) for row in report.subgroups],
        "figure_7_examples": _examples(report.gain_examples),
        "neighbours_at_test": [_setting(row) for row in report.settings],
        "oracle": [_oracle(row) for row in report.oracles],
        "oracle_all": [_flat(asdict(row)) for row in report.oracles_all],
        "ceilings": [_ceiling(row) for row in report.ceilings],
        "positions": _positions(report.positions),
    }
    return {name: as_csv(rows) for name, rows in tables.items() if rows}
