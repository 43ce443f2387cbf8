"""Losses by how much of a chunk stands in its passages, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reports.html.formats import count, number
from reports.html.parts import measured
from reports.html.plain_table import Group, PlainTable
from reports.metrics.leakage import Leakage

DIGITS = 3
DUPLICATES = ("near_duplicate", "no_near_duplicate")


def leakage_table(
    rows: Sequence[Leakage], chunk_tokens: int, words: Mapping[str, str] | None = None
) -> PlainTable:
    """A row for each: chunks with at most so much in common with a passage, between two bounds, and with and
    without a near duplicate, of those that were looked at. `words` are for the names of systems and settings.
    """
    looked = sum(row.chunks for row in rows if row.kind in DUPLICATES)
    names = [(words or {}).get(name, name) for name in rows[0].bits_per_byte]
    groups = [Group("", 1), Group("bits a byte", len(names), "bits a byte,")]
    if len(names) > 1:
        groups.append(Group("gain in nats a token over", len(names) - 1, "gain over"))
    head = [f"longest common run, of {chunk_tokens}", "chunks", *names, *names[1:]]
    return PlainTable(head, [_cells(row, looked) for row in rows], groups)


def _cells(row: Leakage, looked: int) -> list[str]:
    bits = [number(value, DIGITS) for value in row.bits_per_byte.values()]
    gains = [measured(gain, DIGITS, signed=True) for gain in row.gains.values()]
    words = f"{bounds(row)}, of {count(looked)} whole" if row.kind in DUPLICATES else bounds(row)
    return [words, count(row.chunks), *bits, *gains]


def bounds(row: Leakage) -> str:
    """Which chunks a row counts, in words."""
    if row.kind == "at_most":
        return f"at most {row.most}"
    return f"{row.least} to {row.most}" if row.kind == "between" else row.kind.replace("_", " ")
