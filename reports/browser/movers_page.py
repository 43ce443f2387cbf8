"""Two versions of labels compared: what changed overall, and the queries and candidates that changed most."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as StillWorking
from dataclasses import dataclass

from reports.browser.library import LabelLibrary
from reports.html.formats import count, number, percent
from reports.html.markup import Html, clipped, join, table, tag
from reports.labels.diff import compare
from reports.labels.label_set import LabelSet
from reports.labels.version_changes import Change, MovedPair, MovedQuery, PartChanges, VersionChanges
from reports.site import drawing, layout
from reports.site.address import key_of, link

PATIENCE = 1.5  # seconds that a page waits for the comparison
EXCERPT = 160
Splits = Mapping[str, PartChanges]
Targets = Mapping[tuple[str, int], str]
"""Texts of targets by document and query chunk."""


@dataclass(frozen=True)
class Compared:
    """What changed between two versions, with the target of every query among the movers."""

    changes: VersionChanges
    targets: Targets


def compared(a: LabelSet, b: LabelSet, movers: int) -> Compared:
    """What `reports.labels.diff.compare` finds, with texts; raises like that."""
    found = compare(a, b, movers)
    queries: dict[str, set[int]] = {}
    moved: list[MovedPair | MovedQuery] = [*found.movers, *found.best_movers]
    for row in moved:
        queries.setdefault(row.doc_id, set()).add(row.query_chunk)
    texts = {doc_id: a.chunks(doc_id)["text"] for doc_id in queries}
    return Compared(
        found, {(doc_id, query): texts[doc_id][query + 1] for doc_id, of in queries.items() for query in of}
    )


def render(library: LabelLibrary, comparison: Future[Compared] | None) -> str:
    """The page, or one that says why there is none (yet). `comparison` is what `compared` gives.

    Raises:
        Failure: what the comparison raised.
    """
    title = tag("h1", "Comparison")
    if comparison is None:
        how = tag(
            "p",
            "Start with two versions: ",
            tag("code", "./rpt labels browse A B"),
            ", each a directory of labels or REV:CORPUS.",
        )
        return layout.page(
            library.site,
            "Comparison",
            title,
            tag("p", "There is one version of the labels here."),
            how,
            kind="compare",
        )
    try:
        found = comparison.result(PATIENCE)
    except StillWorking:
        wait = tag(
            "p",
            "The two versions are being compared; this page asks again by itself. ",
            tag("a", "Ask now", href="/compare"),
        )
        return layout.page(
            library.site,
            "Comparison",
            tag("meta", http_equiv="refresh", content="2"),
            title,
            wait,
            kind="compare",
        )
    names = drawing.dotted(
        [
            join([f"{side}: ", tag("bdi", clipped(name, layout.NAME))])
            for side, name in zip("AB", library.names, strict=True)
        ]
    )
    pairs = _moved("Candidates whose s_t changed most", found.changes.movers, found.targets)
    queries = _moved("Queries whose best s_t changed most", found.changes.best_movers, found.targets)
    return layout.page(
        library.site,
        "Comparison",
        title,
        tag("p", names, class_="about"),
        _figures(found.changes.splits),
        tag("div", queries, pairs, class_="columns"),
        kind="compare",
    )


def _figures(found: Splits) -> Html:
    """What changed, a column a split."""
    rows = [
        ["queries in both", *_each(found, lambda one: count(one.queries.common))],
        ["candidates in both", *_each(found, lambda one: count(one.pairs.common))],
        [
            "candidates only in A, only in B",
            *_each(found, lambda one: f"{count(one.pairs.only_a)} · {count(one.pairs.only_b)}"),
        ],
        [
            "positive rate, A → B",
            *_each(found, lambda one: f"{percent(one.positive_rate.a)} → {percent(one.positive_rate.b)}"),
        ],
        [
            "flipped to positive, to negative",
            *_each(found, lambda one: f"{count(one.flips.to_positive)} · {count(one.flips.to_negative)}"),
        ],
        [
            "the same as shares of all",
            *_each(
                found,
                lambda one: f"{percent(one.flip_share.to_positive)} · {percent(one.flip_share.to_negative)}",
            ),
        ],
        ["change of s_t, mean and mean size, nats", *_each(found, lambda one: _change(one.score_change))],
        [
            "order of candidates, Spearman · Kendall",
            *_each(
                found,
                lambda one: (
                    f"{number(one.rank_correlation.spearman, 3)} · {number(one.rank_correlation.kendall, 3)}"
                ),
            ),
        ],
        ["same best candidate", *_each(found, lambda one: percent(one.same_best))],
        [
            "change of the best s_t, mean and mean size, nats",
            *_each(found, lambda one: _change(one.best_change)),
        ],
    ]
    return table(["", *found], rows)


def _each(found: Splits, figure: Callable[[PartChanges], str]) -> list[str]:
    return [figure(one) for one in found.values()]


def _change(change: Change) -> str:
    return f"{drawing.score(change.mean)} · {number(change.mean_absolute)}"


def _moved(words: str, rows: Sequence[MovedPair | MovedQuery], targets: Targets) -> Html:
    listed = [tag("li", _mover(row, targets[row.doc_id, row.query_chunk])) for row in rows]
    return tag(
        "section",
        tag("h2", words),
        tag("ol", *listed, class_="hits") if listed else tag("p", "None did.", class_="note"),
    )


def _mover(row: MovedPair | MovedQuery, target: str) -> Html:
    before, after = row.a.target_score, row.b.target_score
    flipped = [tag("span", "flipped", class_="flipped")] if (before > 0) != (after > 0) else []
    figures = tag(
        "b", f"{drawing.score(before)} → {drawing.score(after)}", class_=f"score {drawing.step(after)}"
    )
    chosen = row.candidate_chunk if isinstance(row, MovedPair) else row.b.candidate_chunk
    about = [
        tag("bdi", clipped(row.source or row.doc_id, layout.NAME)),
        row.split,
        f"chunk {row.query_chunk}",
        f"candidate {chosen}",
    ]
    excerpt = tag("span", clipped(" ".join(target.split()), EXCERPT), class_="excerpt", dir="auto")
    address = link(f"/d/{key_of(row.doc_id)}/{row.query_chunk}", c=chosen)
    return tag(
        "a",
        join([figures, *flipped, tag("span", drawing.dotted(about), class_="about"), excerpt]),
        href=address,
        data_row="",
    )
