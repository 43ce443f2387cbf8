"""A table as plain data, so that one set of cells serves HTML, Markdown and a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reports.html.markup import Html, table, tag, visible


class Strong(str):
    """A cell to be told from the others."""


class Group(NamedTuple):
    """Words over some columns; `short` stands before the name of each where a head has one line."""

    words: str
    columns: int
    short: str = ""


@dataclass(frozen=True)
class PlainTable:
    """`groups` are over the columns after the first; columns from `foreign_from` on, counted from 0, are not
    of this run.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    groups: Sequence[Group] = ()
    foreign_from: int | None = None


def as_html(plain: PlainTable) -> Html:
    """The table as part of a page."""
    rows = [[tag("b", cell) if isinstance(cell, Strong) else cell for cell in row] for row in plain.rows]
    last = plain.groups[-1] if plain.groups and plain.foreign_from is not None else None
    spans = [
        tag(
            "th",
            group.words,
            colspan=group.columns,
            scope="colgroup",
            class_="foreign" if group is last else None,
        )
        for group in plain.groups
    ]
    groups = tag("tr", tag("td"), *spans) if spans else None
    return tag(
        "div", table(plain.head, rows, groups=groups, foreign_from=plain.foreign_from), class_="systems"
    )


def as_markdown(plain: PlainTable) -> str:
    """The table with aligned columns."""
    before = (
        ["", *(group.short for group in plain.groups for _ in range(group.columns))]
        if plain.groups
        else [""] * len(plain.head)
    )
    head = [f"{short} {cell}".strip() for short, cell in zip(before, plain.head, strict=True)]
    cells = [[_escaped(cell) for cell in row] for row in [head, *plain.rows]]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(head))]
    lines = [
        _line(
            [
                cell.rjust(width) if place else cell.ljust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
        )
        for row in cells
    ]
    rule = _line(["-" * (width - 1) + (":" if place else "-") for place, width in enumerate(widths)])
    return "\n".join([lines[0], rule, *lines[1:]])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(cell: str) -> str:
    written = markdown_text(cell)
    return f"**{written}**" if isinstance(cell, Strong) else written


def markdown_text(text: str) -> str:
    """Text in which nothing is Markdown, HTML or the end of a line; an underscore in a word and the bracket
    of an interval are none.
    """
    return re.sub(
        r"[\\`*<>|~]|(?<!\w)_|_(?!\w)|\[(?![+\N{MINUS SIGN}\d])", r"\\\g<0>", visible(text).replace("\n", " ")
    )
