"""A label set in a few tables for a terminal, and the words and figures that all commands on labels share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from flows.terminal.screen import console, note, table, width
from flows.workspace import ROOT
from reports.html.terminal_text import shown
from reports.labels.summary import DocumentSummary, LabelSummary

BARS = "▁▂▃▄▅▆▇█"
SPARK_CELLS = 24
MISSING = "-"


def line(text: str) -> str:
    """Untrusted text in one line."""
    return shown(text, one_line=True)


def excerpt(text: str, squeezed: bool) -> str:
    """Untrusted text in one line, if `squeezed` with less white space."""
    return line(re.sub(r"[ \t]*\n\s*", "\n", re.sub(r"[ \t]{2,}", " ", text)) if squeezed else text)


def signed(value: float | None, digits: int = 2) -> str:
    """Nats with their sign."""
    return MISSING if value is None else f"{value:+.{digits}f}"


def share(value: float | None) -> str:
    """A share as a percentage, with two digits of a small one."""
    if value is None:
        return MISSING
    return f"{value:.1%}" if value >= 0.01 or not value else f"{100 * value:.2g}%"


def where(directory: str) -> str:
    """A directory, from the root of the checkout if it lies in it."""
    path = Path(directory)
    return line(str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path))


def scorer(identity: Mapping[str, object]) -> str:
    """The engine and model that labels come from, in a line."""
    name = " ".join(str(identity[key]) for key in ("engine", "version", "device", "dtype") if key in identity)
    text = ", which reads chunks as text" if "chunk_tokenizer" in identity else ""
    return line(f"{name}, weights {str(identity.get('weights', '?'))[:12]}{text}")


def spark(values: Sequence[float | None], cells: int = SPARK_CELLS) -> str:
    """Means along a document as bars, from its lowest to its highest; a gap where there are none."""
    size = len(values) // cells
    groups = [
        [value for value in values[begin : begin + size] if value is not None]
        for begin in range(0, size * cells, size)
    ]
    means = [sum(group) / len(group) if group else None for group in groups]
    known = [mean for mean in means if mean is not None]
    low, high = min(known), max(known)
    step = (high - low) / (len(BARS) - 1) or 1.0
    return "".join(" " if mean is None else BARS[round((mean - low) / step)] for mean in means)


def print_stats(result: LabelSummary, of: int) -> None:
    """The summary of a label set that has `of` documents."""
    screen = console()
    splits = {
        **{name: row for name, row in result.splits.items() if name != "all"},
        "all": result.splits["all"],
    }
    every = result.splits["all"]
    screen.print(Text(f"{where(result.labels)}: {every.queries:,} queries, {every.pairs:,} pairs", "bold"))
    screen.print(f"scored by {scorer(result.scorer)}; chunks of {result.chunk_tokens} tokens")
    screen.print()
    head = ["split", "documents", "queries", "pairs", "a query", "s_t > 0"]
    sizes = [
        [
            *(f"{n:,}" for n in (row.documents, row.queries, row.pairs)),
            f"<= {row.candidates}",
            share(row.positive_rate),
        ]
        for row in splits.values()
    ]
    table(screen, head, [[name, *row] for name, row in zip(splits, sizes, strict=True)])
    screen.print()
    head = ["best s_t of the first", *every.best_score]
    table(screen, head, [[name, *map(signed, row.best_score.values())] for name, row in splits.items()])
    note(screen, "the highest s_t among the first k candidates of BM25, mean over queries, nats")
    screen.print()
    quantiles = [f"{float(quantile):.0%}" for quantile in every.score_quantiles]
    table(
        screen,
        ["s_t of all pairs, nats", *quantiles],
        [[name, *map(signed, row.score_quantiles.values())] for name, row in splits.items()],
    )
    if result.documents:
        _print_documents(screen, result.documents, of)


def _print_documents(screen: Console, documents: Sequence[DocumentSummary], of: int) -> None:
    screen.print(
        f"\nthe largest {len(documents)} of {of:,} documents (--documents N for more)"
        if len(documents) < of
        else "\ndocuments"
    )
    wide = (width(screen) or 200) >= 100
    head = ["document", "split", "queries", "s_t > 0", "best s_t", *(["along it"] if wide else []), "source"]
    rows = []
    for row in documents:
        figures = [f"{row.queries:,}", share(row.positive / row.pairs), signed(row.best_mean)]
        rows.append(
            [line(row.doc_id), row.split, *figures, *([spark(row.sparks)] if wide else []), line(row.source)]
        )
    table(screen, head, rows, left=(0, 1, len(head) - 1, *([5] if wide else [])))
    note(screen, "best s_t: mean over its queries, nats; `./rpt labels show DOC:CHUNK` shows one query")
