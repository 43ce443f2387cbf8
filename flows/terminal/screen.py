"""Styled text on a terminal, and the same text without a single escape code elsewhere or where NO_COLOR is
set.

Nothing here interprets markup. Callers pass untrusted text through `reports.html.terminal_text` first; a
terminal then gets lines that fit its width, and a pipe gets them whole.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

FIRST, GOES_ON = "│ ", "┆ "
Cell = str | Text


class Screen(Console):
    """A console that leaves a closed pipe to `flows.cli.main`."""

    def on_broken_pipe(self) -> None:
        """Called while a BrokenPipeError is handled."""
        raise


def console() -> Screen:
    """Standard output; without a single escape code if it is no terminal or NO_COLOR is set."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    plain = bool(os.environ.get("NO_COLOR"))
    return Screen(
        markup=False, highlight=False, emoji=False, soft_wrap=True, color_system=None if plain else "auto"
    )


def width(screen: Console) -> int | None:
    """Columns of the terminal, None where there is none."""
    return screen.width if screen.is_terminal else None


def note(screen: Console, text: str, style: str = "dim") -> None:
    """A sentence, in several lines where the terminal is narrow."""
    screen.print(Text(text, style), soft_wrap=not screen.is_terminal)


def table(
    screen: Console, head: Sequence[str], rows: Sequence[Sequence[Cell]], left: Sequence[int] = (0,)
) -> None:
    """Rows below a head; columns but those in `left` are flush right, and the last, if it is one of them, is
    cut where the line ends.
    """
    sizes = [max(cell_len(_plain(row[column])) for row in [head, *rows]) for column in range(len(head))]
    for number, row in enumerate([head, *rows]):
        line = Text(style="bold" if number == 0 else "")
        for column, cell in enumerate(row):
            text = cell.copy() if isinstance(cell, Text) else Text(cell)
            room = " " * (sizes[column] - text.cell_len)
            last = column == len(row) - 1
            line.append_text(
                Text.assemble(text, "" if last else room) if column in left else Text.assemble(room, text)
            )
            line.append("" if last else "  ")
        limit = width(screen)
        if limit and line.cell_len > limit:
            line.truncate(limit, overflow="ellipsis")
        screen.print(line)


def _plain(cell: Cell) -> str:
    return cell.plain if isinstance(cell, Text) else cell


def block(screen: Console, text: Text, style: str = "dim") -> None:
    """Text of several lines behind a margin. A line that does not fit goes on behind another margin; nothing
    is left out or put in.
    """
    limit = width(screen)
    for line in text.split("\n", allow_blank=True):
        for number, part in enumerate(_folded(line, limit - cell_len(FIRST)) if limit else [line]):
            screen.print(Text.assemble((GOES_ON if number else FIRST, style), part))


def _folded(line: Text, limit: int) -> list[Text]:
    return list(line.divide(_breaks(line.plain, max(limit, 10))))


def _breaks(line: str, limit: int) -> Iterator[int]:
    """Where to cut a line so that no part is wider than `limit`: after the last space of a part, if there is
    one.
    """
    begin = used = space = 0
    for place, character in enumerate(line):
        size = cell_len(character)
        if used + size > limit:
            begin = space if space > begin else place
            yield begin
            used = cell_len(line[begin:place])
        used += size
        if character == " ":
            space = place + 1


def cut(text: str, cells: int) -> str:
    """`text` in at most `cells` columns, with an ellipsis if it is longer."""
    return text if cell_len(text) <= cells else set_cell_size(text, cells - 1).rstrip() + "…"
