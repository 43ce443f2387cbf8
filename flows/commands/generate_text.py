"""New text on a terminal as it comes, and below it what was read for it."""

from __future__ import annotations

import sys
from typing import Any

from flows.terminal.label_text import excerpt
from flows.terminal.screen import console, cut, note, width
from reports.html.terminal_text import shown

CHARACTERS = 240
"""Of a chunk that was read, where nobody says how wide a line is."""


class Lines:
    """Says a text that comes in pieces, each line when it is whole: what a model writes may be anything, and
    only of a whole line can be said what of it would act on a terminal.
    """

    def __init__(self) -> None:
        console()  # standard output then takes what it cannot encode
        self._begun = ""

    def __call__(self, text: str) -> None:
        """The next piece."""
        *whole, self._begun = (self._begun + text).split("\n")
        for line in whole:
            self._write(f"{line}\n")

    def end(self) -> None:
        """What is left, of a line that is not whole."""
        self._write(self._begun)

    def _write(self, text: str) -> None:
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
