"""The comparison of two label sets for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from rich.console import Console
from rich.text import Text

from flows.terminal.label_text import MISSING, excerpt, line, scorer, share, signed, where
from flows.terminal.screen import console, cut, note, table, width
from reports.labels.label_set import LabelSet
from reports.labels.version_changes import MovedPair, MovedQuery, PartChanges, VersionChanges

ROWS: list[tuple[str, Callable[[PartChanges], str]]] = [
    ("queries in both", lambda row: f"{row.queries.common:,}"),
    ("  in a only", lambda row: f"{row.queries.only_a:,}"),
    ("  in b only", lambda row: f"{row.queries.only_b:,}"),
    ("pairs in both", lambda row: f"{row.pairs.common:,}"),
    ("  in a only", lambda row: f"{row.pairs.only_a:,}"),
    ("  in b only", lambda row: f"{row.pairs.only_b:,}"),
    ("s_t > 0 in a", lambda row: share(row.positive_rate.a)),
    ("s_t > 0 in b", lambda row: share(row.positive_rate.b)),
    ("  became > 0", lambda row: share(row.flip_share.to_positive)),
    ("  became <= 0", lambda row: share(row.flip_share.to_negative)),
    ("change of s_t", lambda row: signed(row.score_change.mean)),
    ("  absolute", lambda row: unsigned(row.score_change.mean_absolute)),
    ("change of the best s_t", lambda row: signed(row.best_change.mean)),
    ("  absolute", lambda row: unsigned(row.best_change.mean_absolute)),
    ("  rose, of queries", lambda row: share(row.best_change.higher)),
    ("  fell, of queries", lambda row: share(row.best_change.lower)),
    ("same best candidate", lambda row: share(row.same_best)),
    ("order: Spearman", lambda row: unsigned(row.rank_correlation.spearman, 3)),
    ("order: Kendall", lambda row: unsigned(row.rank_correlation.kendall, 3)),
]


def unsigned(value: float | None, digits: int = 2) -> str:
    """A figure that needs no sign."""
    return MISSING if value is None else f"{value:.{digits}f}"


def print_diff(result: VersionChanges, labels: LabelSet) -> None:
    """What `reports.labels.diff.compare` says of two label sets; texts come from `labels`, one of them."""
    screen = console()
    for side, version in (("a", result.a), ("b", result.b)):
        said = f"{where(version.labels)}, up to {version.candidates} candidates a query"
        screen.print(Text.assemble((f"{side}  {said}", "bold")))
        screen.print(Text(f"   scored by {scorer(version.scorer)}", "dim"))
    counts = result.documents
    screen.print(
        f"{counts.common:,} documents in both, {counts.only_a:,} in a only, {counts.only_b:,} in b only"
    )
    screen.print()
    table(
        screen, ["", *result.splits], [[name, *map(figure, result.splits.values())] for name, figure in ROWS]
    )
    note(
        screen,
        "means in nats; changes are b - a over what both have, and `best` is of all candidates that a"
        " version has",
    )
    texts = _Texts(labels, screen.is_terminal)
    _print_pairs(screen, result.movers, texts)
    _print_queries(screen, result.best_movers, texts)
    every = result.splits["all"]
    if not (every.score_change.mean_absolute or every.best_change.mean_absolute):
        screen.print("\nno score changed")


class _Texts:
    """Texts of chunks in one line; both versions have the same."""

    def __init__(self, labels: LabelSet, squeezed: bool):
        self.chunks = lru_cache(maxsize=4)(lambda doc_id: labels.chunks(doc_id)["text"])
        self.squeezed = squeezed

    def of(self, doc_id: str, chunk: int) -> str:
        return excerpt(self.chunks(doc_id)[chunk], self.squeezed)


def _print_pairs(screen: Console, movers: Sequence[MovedPair], texts: _Texts) -> None:
    if not movers:
        return
    screen.print(Text("\npairs whose s_t changed most", "bold"))
    for row in movers:
        a, b = row.a, row.b
        place = f"{line(row.doc_id)}:{row.query_chunk}"
        ranks = f"rank {a.rank}" if a.rank == b.rank else f"rank {a.rank} -> {b.rank}"
        figures = f"{signed(row.change):>8}  {signed(a.target_score)} -> {signed(b.target_score)}"
        _print_mover(
            screen,
            f"{figures}  {place}  candidate {row.candidate_chunk} ({ranks})  {row.split}",
            line(row.source),
        )
        _print_text(screen, "target", texts.of(row.doc_id, row.query_chunk + 1))
        _print_text(screen, "candidate", texts.of(row.doc_id, row.candidate_chunk))


def _print_queries(screen: Console, movers: Sequence[MovedQuery], texts: _Texts) -> None:
    if not movers:
        return
    screen.print(Text("\nqueries whose best s_t changed most", "bold"))
    for row in movers:
        a, b = row.a, row.b
        place = f"{line(row.doc_id)}:{row.query_chunk}"
        figures = f"{signed(row.change):>8}  {signed(a.target_score)} -> {signed(b.target_score)}"
        same = a.candidate_chunk == b.candidate_chunk
        best = f"best {a.candidate_chunk}" if same else f"best {a.candidate_chunk} -> {b.candidate_chunk}"
        _print_mover(screen, f"{figures}  {place}  {best}  {row.split}", line(row.source))
        _print_text(screen, "target", texts.of(row.doc_id, row.query_chunk + 1))
        _print_text(screen, "best in a", texts.of(row.doc_id, a.candidate_chunk))
        if not same:
            _print_text(screen, "best in b", texts.of(row.doc_id, b.candidate_chunk))


def _print_mover(screen: Console, figures: str, source: str) -> None:
    limit = width(screen)
    said = f"{figures}  {source}"
    screen.print(Text(cut(said, limit) if limit else said))


def _print_text(screen: Console, name: str, text: str) -> None:
    limit = width(screen)
    screen.print(Text(f"          {name:<10} {cut(text, max(limit - 21, 20)) if limit else text}", "dim"))
