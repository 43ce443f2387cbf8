"""All candidates of a query: where BM25 put them, what they are worth, and how they begin."""

from __future__ import annotations

from reports.browser.document import Candidate, Document
from reports.browser.library import LabelLibrary
from reports.html.formats import number
from reports.html.markup import Html, clipped, tag
from reports.site import drawing
from reports.site.address import ORDERS, View

NUMBERED = 9  # candidates that a digit chooses
LEAST_TOP = 2.0  # nats
LAST = 10**6
NONE = "\N{EN DASH}"


def ordered(candidates: list[Candidate], view: View) -> list[Candidate]:
    """The candidates in the order of `view`; those that the first set lacks come last."""
    if view.by == "bm25":
        return sorted(candidates, key=lambda one: [LAST if rank is None else rank for rank in one.ranks])
    return candidates


def render(
    library: LabelLibrary,
    document: Document,
    query: int,
    candidates: list[Candidate],
    chosen: Candidate,
    view: View,
) -> Html:
    """The table in the order of `view`, with the ways to other orders."""
    path, other = f"/d/{document.key}/{query}", "" if view.by else "bm25"
    switch = _switch(f"order by {ORDERS[other].split(',')[0]}", "b", view.link(path, c=view.c, by=other))
    full = _switch(
        "short texts" if view.full else "whole texts",
        "t",
        view.link(path, c=view.c, full="" if view.full else "1"),
    )
    title = tag("h2", f"{len(candidates)} candidates", tag("small", f"by {ORDERS[view.by]}"), switch, full)
    return tag(
        "section",
        title,
        table(library, document, query, ordered(candidates, view), chosen, view),
        class_="all",
    )


def table(
    library: LabelLibrary,
    document: Document,
    query: int,
    shown: list[Candidate],
    chosen: Candidate,
    view: View,
) -> Html:
    """Some candidates of a query, a row each."""
    top = max([LEAST_TOP, *(abs(score) for one in shown for score in one.scores if score is not None)])
    rows = [_row(document, query, one, key, one is chosen, top, view) for key, one in enumerate(shown, 1)]
    heads = [
        "",
        "BM25 rank",
        "BM25",
        *_score_heads(library),
        "vs BM25",
        "distance",
        "candidate",
        "continuation",
    ]
    kinds = ["", "n", "n wide", *["n"] * (len(heads) - 7), "n", "n wide", "text", "text"]
    head = tag(
        "tr",
        *(
            tag("th", words, scope="col", class_=kind or None)
            for words, kind in zip(heads, kinds, strict=True)
        ),
    )
    return tag(
        "table", tag("thead", head), tag("tbody", *rows), class_=f"candidates{' full' if view.full else ''}"
    )


def _switch(words: str, key: str, address: str) -> Html:
    return tag("a", words, tag("kbd", key), href=address, data_key=key)


def _score_heads(library: LabelLibrary) -> list[str]:
    if len(library.sets) == 1:
        return ["s_t"]
    return [f"s_t in {clipped(name, 40)}" for name in library.names] + ["change"]


def _row(
    document: Document, query: int, one: Candidate, key: int, is_chosen: bool, top: float, view: View
) -> Html:
    address = view.link(f"/d/{document.key}/{query}", c=one.chunk)
    digit = str(key) if key <= NUMBERED else None
    words = f"candidate {key}, chunk {one.chunk}"
    current = "true" if is_chosen else None
    choose = tag("a", str(key), href=address, data_key=digit, aria_label=words, aria_current=current)
    rank = one.ranks[0]
    cells = [
        tag("th", choose, scope="row"),
        tag("td", tag("span", "BM25 rank ", class_="unit"), NONE if rank is None else str(rank), class_="n"),
        tag("td", number(one.bm25, 1), class_="n wide"),
        *(
            tag(
                "td",
                drawing.bar(score, top),
                tag("b", drawing.score(score) if score is not None else NONE),
                class_="n value",
            )
            for score in one.scores
        ),
        *_change(one),
        tag("td", *_moved(one), class_="n"),
        tag("td", str(query - one.chunk), class_="n wide"),
        *(
            tag("td", tag("div", document.texts[chunk], class_="chunk", dir="auto"), class_="text")
            for chunk in (one.chunk, one.chunk + 1)
        ),
    ]
    return tag("tr", *cells, class_="chosen" if is_chosen else None)


def _change(one: Candidate) -> list[Html]:
    if len(one.scores) == 1:
        return []
    first, second = one.scores
    if first is None or second is None:
        return [tag("td", "only in one", class_="n about")]
    flipped = [tag("span", "flipped", class_="flipped")] if one.flipped else []
    return [tag("td", drawing.score(second - first), *flipped, class_="n")]


def _moved(one: Candidate) -> list[str]:
    rank = one.ranks[0]
    if rank is None:
        return [NONE]
    places = rank - one.place
    if places == 0:
        return [tag("span", "=", class_="same")]
    words = f"{abs(places)} places {'up' if places > 0 else 'down'} from BM25 rank {rank}"
    return [
        tag(
            "span",
            f"{'▲' if places > 0 else '▼'} {abs(places)}",
            class_="up" if places > 0 else "down",
            title=words,
        )
    ]
