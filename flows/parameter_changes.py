"""What an edit of params.yaml changed, as values: `scoring.candidates 8 -> 12`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

ABSENT = "not set"
LONGEST = 40  # characters of a value that are shown
Change = tuple[object, object]
"""A value before and after; `ABSENT` where there was or is none."""


def changed_values(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, Change]:
    """Dotted keys whose values differ, in the order of `after`; what is no longer there comes last."""
    old, new = dict(leaves(before)), dict(leaves(after))
    return {
        key: (old.get(key, ABSENT), new.get(key, ABSENT))
        for key in {**new, **old}
        if old.get(key, ABSENT) != new.get(key, ABSENT)
    }


def leaves(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Dotted keys and their values."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def sentence(key: str, change: Change) -> str:
    """The change in words."""
    before, after = map(_words, change)
    return f"{key} {before} -> {after}"


def _words(value: object) -> str:
    """A value as YAML has it, in one line; a long one is cut."""
    plain = isinstance(value, str) and re.fullmatch(r"[\w./:*-]+( [\w./:*-]+)*", value)
    said = str(value) if plain else json.dumps(value, default=str)
    return said if len(said) <= LONGEST else f"{said[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
