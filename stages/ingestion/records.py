"""One input of a source: a record with its text, or a rejection with its reason; and how a record is taken
from named fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from stages.parameters import Corpus, FieldValue

SHOWN_CHARS = 80


@dataclass(frozen=True)
class Record:
    """One input with its text in consecutive pieces, which can be read once; reading may raise `Unusable`."""

    source: str
    position: int
    pieces: Iterable[str]
    license: str = ""


@dataclass(frozen=True)
class Rejection:
    """One input that is no document, and why; `reason` is a key of `REASONS`."""

    source: str
    position: int
    reason: str
    detail: str
    excerpt: str = ""


class Unusable(Exception):
    """Found while reading a record's pieces: it is no document."""

    def __init__(self, reason: str, detail: str, excerpt: str = "") -> None:
        super().__init__(detail)
        self.reason, self.detail, self.excerpt = reason, detail, excerpt


def record_of(name: str, number: int, item: dict, corpus: Corpus) -> Record | Rejection:
    """The record in the fields of `item`, which is the `number`-th of the file `name`."""
    for field, wanted in corpus.where.items():
        found: object = item
        for part in field.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if not is_value(found, wanted):
            return Rejection(
                name, number, "filtered", f"{field} is {shown_value(found)}, not {shown_value(wanted)}"
            )
    text = item.get(corpus.text_column)
    if not isinstance(text, str):
        return Rejection(
            name,
            number,
            "not_text",
            f"field {corpus.text_column!r} is no string but {type(text).__name__}",
            str(text)[:200],
        )
    return Record(name, number, (text,), str(item.get("license") or ""))


def is_value(found: object, wanted: FieldValue) -> bool:
    """Whether a field has the wanted value, however either of them is written: 2019, 2019.0 and "2019" are
    one, so are true and "True".

    Text is equal to text only as it stands: "007" is not "7".
    """
    if isinstance(found, bool | None) and isinstance(wanted, str):
        return _plain(found) == wanted.lower()
    if isinstance(found, int | float | Decimal) and isinstance(wanted, str):
        try:
            return _plain(found) == _plain(Decimal(wanted))
        except ArithmeticError:
            return False
    return _plain(found) == _plain(wanted)


def _plain(value: object) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, float | Decimal):
        exact = Decimal(str(value))
        return (
            str(int(exact))
            if exact.is_finite() and exact == exact.to_integral_value()
            else str(exact.normalize())
        )
    return value.isoformat() if isinstance(value, date) else str(value)


def shown_value(value: object) -> str:
    """A value as it would be written in params.yaml, at most 80 characters of it."""
    return repr(value[:SHOWN_CHARS]) if isinstance(value, str) else _plain(value)[:SHOWN_CHARS]
