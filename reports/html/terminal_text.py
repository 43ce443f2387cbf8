"""Untrusted text for a terminal: nothing but newlines is left to act, and what was there can be read back
exactly.

A character that cannot be seen stands as in `visible`, as `\\u202e`; so does one that would be taken for such
a sign, and a combining mark after a few others, which would cover the lines above. A tab is `⇥` and, where
text has to stay in one line, a newline is `⏎`.
"""

from __future__ import annotations

import re
import unicodedata

from reports.html.markup import visible

COMBINING = 4  # marks on one letter; Hebrew, Thai and Vietnamese need three
TAB, NEWLINE = "\u21e5", "\u23ce"
_SIGN = re.compile(r"\\u[0-9a-f]{4}|\\U[0-9a-f]{8}")
_NEEDS_CARE = re.compile(r"[^ -\[\]-~\n]")


def written(text: str, *, one_line: bool = False) -> list[str]:
    """What stands for each character of `text`."""
    if not _NEEDS_CARE.search(text) and not one_line:
        return list(text)
    signs = {match.start() for match in _SIGN.finditer(text)}
    parts, marks = [], 0
    for place, character in enumerate(text):
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if character == "\t":
            parts.append(TAB)
        elif character == "\n":
            parts.append(NEWLINE if one_line else "\n")
        elif place in signs or marks > COMBINING or character in (TAB, NEWLINE):
            parts.append(
                f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
            )
        else:
            parts.append(visible(character))
    return parts


def shown(text: str, *, one_line: bool = False) -> str:
    """`text` with everything that acts or hides written out."""
    return "".join(written(text, one_line=one_line))
