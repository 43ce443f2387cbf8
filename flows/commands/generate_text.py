"""New text on a terminal as it comes, and below it what was read for it."""

from __future__ import annotations

import sys
from typing import Any

from flows.terminal.label_text import excerpt
from flows.terminal.screen import console, cut, note, width
from reports.html.terminal_text import shown

CHARACTERS = 240
"""Of a chunk that was read, where nobody says how wide a line is."""


def say(text: str) -> None:
    """The next piece of the new text; a model may write anything, so nothing of it acts on a terminal."""
    sys.stdout.write(shown(text))
    sys.stdout.flush()


def print_read(found: dict[str, Any]) -> None:
    """What `flows.commands.generate.go_on` returns, after its text was said."""
    screen = console()
    screen.print()
    note(screen, f"\n{found['run']}: {found['tokens']:,} tokens after {found['prompt_tokens']:,}")
    for row in found["read"]:
        if not row["neighbours"]:
            note(screen, f"after chunk {row['chunk']}: nothing was read")
        for neighbour in row["neighbours"]:
            text = (
                f"after chunk {row['chunk']}: chunk {neighbour['chunk']} «{excerpt(neighbour['text'], True)}»"
            )
            note(screen, cut(text, width(screen) or CHARACTERS))
