"""The sequences of a training step for a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from flows.terminal.label_text import line, signed
from flows.terminal.screen import block, console, note
from reports.html.terminal_text import shown


def print_batch(batch: dict[str, Any]) -> None:
    """What `flows.commands.batch.look` returns."""
    screen = console()
    for sequence in batch["sequences"]:
        when = "" if batch["step"] is None else f", step {batch['step']}"
        first, last = sequence["first_chunk"], sequence["first_chunk"] + len(sequence["chunks"]) - 1
        title = (
            f"{batch['run']}{when}: sequence {sequence['sequence']}, chunks {first} to {last} of"
            f" {line(sequence['doc_id'])}"
        )
        screen.print(Text(f"{title}, {sequence['tokens']:,} tokens", "bold"))
        for chunk in sequence["chunks"]:
            _print_chunk(screen, chunk)
        note(screen, f"\nthe last target: «{line(sequence['last_target'])}»\n")


def _print_chunk(screen: Console, chunk: dict[str, Any]) -> None:
    screen.print(Text(f"\nchunk {chunk['chunk']}", "bold"))
    block(screen, Text(shown(chunk["text"])))
    candidates = chunk.get("candidates")
    if candidates:
        kind = "t" if "t" in candidates[0] else "BM25"
        figures = [
            f"{row['chunk']}: {signed(row['t'], 4) if kind == 't' else format(row['score'], '.2f')}"
            for row in candidates
        ]
        note(screen, f"candidates ({kind} of each, by BM25 rank)  {'  '.join(figures)}")
        note(screen, f"gold neighbours  {', '.join(map(str, chunk['gold'])) or 'none: no candidate helps'}")
    elif "candidates" in chunk:
        note(screen, "no candidates")
    for passage in chunk.get("passages", ()):
        note(screen, f"reads  «{line(passage)}»")
