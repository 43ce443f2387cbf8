"""HTML and SVG built from nested calls. What is not `Html` is untrusted text and is escaped, so forgetting to
escape is not possible.

Text of corpora may hold characters that are invisible or that reorder what surrounds them (Unicode categories
Cc, Cf, Cs, Zl, Zp and unassigned code points, and the letters that have no glyph). They are written out, as
in `\\u202e`, and marked: text is shown exactly.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from html import escape

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Cn"})
_HIDDEN_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
_PLAIN = re.compile(r"[\n\t -~]*")
_VOID = frozenset({"meta", "br", "link", "input"})
_TEXT_ONLY = frozenset({"title", "text"})  # their content may not hold elements


class Html(str):
    """Markup made by this package. Never wrap text that came from outside: pass it as a plain `str`."""


def _hidden(character: str) -> bool:
    if character in "\n\t" or " " <= character <= "~":
        return False
    return character in _HIDDEN_LETTERS or unicodedata.category(character) in _HIDDEN_CATEGORIES


def _written_out(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible(text: str) -> str:
    """`text` with every character that cannot be seen, newline and tab excepted, written as `\\uXXXX` or
    `\\UXXXXXXXX`.
    """
    if _PLAIN.fullmatch(text):
        return text
    return "".join(_written_out(character) if _hidden(character) else character for character in text)


def clipped(text: str, limit: int) -> str:
    """`text`, or its first `limit` - 1 characters and an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _escaped(text: str) -> str:
    """Escaped text; each run of written-out characters is in a `mark`, which tells it from a backslash that
    is in the text itself.
    """
    if _PLAIN.fullmatch(text):
        return escape(text)
    parts: list[str] = []
    start = 0
    for position, character in enumerate(text):
        if _hidden(character):
            parts += (escape(text[start:position]), f"<mark>{_written_out(character)}</mark>")
            start = position + 1
    return "".join([*parts, escape(text[start:])])


def join(children: Iterable[str]) -> Html:
    """The children one after another; those that are not `Html` are escaped."""
    return Html("".join(child if isinstance(child, Html) else _escaped(child) for child in children))


def tag(name: str, /, *children: str, **attributes: str | float | None) -> Html:
    """One element. Attribute names are written with `_` for `-` and may end in `_`; an attribute that is None
    is left out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(visible(str(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    inside = [
        child if isinstance(child, Html) or name not in _TEXT_ONLY else visible(child) for child in children
    ]
    return Html(f"<{name}{written}>{join(inside)}</{name}>")


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numeric_from: int = 1,
    groups: Html | None = None,
    limit: int = 100,
    foreign_from: int | None = None,
) -> Html:
    """A table that scrolls sideways when narrow; columns from `numeric_from` on are right-aligned, those from
    `foreign_from` on grey. At most `limit` rows."""

    def kind(column: int) -> str | None:
        kinds = (["n"] if column >= numeric_from else []) + (
            ["foreign"] if foreign_from is not None and column >= foreign_from else []
        )
        return " ".join(kinds) or None

    heading = tag(
        "tr", *(tag("th", cell, scope="col", class_=kind(column)) for column, cell in enumerate(head))
    )
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            *(tag("td", cell, class_=kind(column)) for column, cell in enumerate(row[1:], 1)),
        )
        for row in rows[:limit]
    ]
    rest = (
        [tag("p", f"{len(rows) - limit:,} more rows are not shown.", class_="note")]
        if len(rows) > limit
        else []
    )
    inside = tag("table", tag("thead", *([groups] if groups else []), heading), tag("tbody", *body))
    return tag("div", inside, *rest, class_="scroll", tabindex="0")
