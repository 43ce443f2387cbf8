"""The neighbours of a chunk as a table: who takes each, its score and gate, what BM25 and the reference LM
say, and losses compared.
"""

from __future__ import annotations

from reports.browser.candidate_table import LEAST_TOP, NONE, NUMBERED
from reports.explorer.address import ORDERS, Look
from reports.explorer.comparison import NAME
from reports.explorer.document import Document
from reports.explorer.neighbours import Neighbour
from reports.html.formats import number
from reports.html.markup import Html, clipped, join, tag
from reports.site import drawing

HEADS = (
    ("", "", ""),
    ("taken by", "", "takers"),
    ("rank", "place from 0 in the ranking of the run that is shown", "n"),
    ("score", "what its retriever gives it", "n"),
    ("gate", "how much it counted, 0.1 to 1", "n"),
    (
        "alone",
        "loss in the setting without neighbours minus that in one that reads this one alone here, nats",
        "n",
    ),
    ("left out", "loss in a setting that reads the others here minus that with all, nats", "n"),
    ("s_t", "what the reference LM says, nats", "n"),
    ("BM25 rank", "place from 0 for the chunk alone", "n"),
    ("distance", "chunks back", "n wide"),
    ("neighbour", "", "text"),
    ("continuation", "", "text"),
)


def render(
    document: Document, chunk: int, run: str, found: list[Neighbour], chosen: Neighbour, look: Look
) -> Html:
    """The table, with the ways to other orders and to whole texts."""
    path, orders = f"/d/{document.facts.key}/{chunk}", list(ORDERS)
    other = orders[(orders.index(look.by) + 1) % len(orders)]
    switches = [
        tag("a", words, tag("kbd", key), href=look.link(path, c=look.c, **change), data_key=key)
        for words, key, change in (
            (
                f"order by {ORDERS[other].split(',')[0]}" if other else "order of the system",
                "o",
                {"by": other},
            ),
            ("short texts" if look.full else "whole texts", "t", {"full": "" if look.full else "1"}),
        )
    ]
    title = tag(
        "h2",
        f"{len(found)} neighbours",
        tag("small", "of ", tag("bdi", clipped(run, NAME)), f", {ORDERS[look.by]}"),
        *switches,
    )
    top = max(
        [
            LEAST_TOP,
            *(
                abs(value)
                for one in found
                for value in (one.s_t, one.alone, one.left_out)
                if value is not None
            ),
        ]
    )
    rows = [_row(document, chunk, one, place, one is chosen, top, look) for place, one in enumerate(found, 1)]
    head = tag(
        "tr",
        *(
            tag("th", words, scope="col", title=title or None, class_=kind or None)
            for words, title, kind in HEADS
        ),
    )
    table = tag(
        "table",
        tag("thead", head),
        tag("tbody", *rows),
        class_=f"candidates neighbours{' full' if look.full else ''}",
    )
    return tag("section", title, table, class_="all")


def _row(
    document: Document, chunk: int, one: Neighbour, place: int, is_chosen: bool, top: float, look: Look
) -> Html:
    choose = tag(
        "a",
        str(place),
        href=look.link(f"/d/{document.facts.key}/{chunk}", c=one.chunk),
        data_key=str(place) if place <= NUMBERED else None,
        aria_label=f"neighbour {place}, chunk {one.chunk}",
        aria_current="true" if is_chosen else None,
    )
    cells = [
        tag("th", choose, scope="row"),
        tag("td", takers(one), class_="takers" if one.taken else "takers wide"),
        _figure("rank", NONE if one.rank is None else str(one.rank)),
        _figure("score", NONE if one.score is None else number(one.score, 2)),
        _figure("gate", NONE if one.gate is None else number(one.gate, 2)),
        _worth("alone", one.alone, top),
        _worth("left out", one.left_out, top),
        _worth("s_t", one.s_t, top),
        _figure("BM25 rank", NONE if one.bm25_rank is None else str(one.bm25_rank)),
        tag("td", str(chunk - one.chunk), class_="n wide"),
        *(
            tag("td", tag("div", document.texts[j], class_="chunk", dir="auto"), class_="text")
            for j in (one.chunk, one.chunk + 1)
        ),
    ]
    return tag("tr", *cells, class_="chosen" if is_chosen else None)


def takers(one: Neighbour) -> Html:
    """Who takes a neighbour, each in a box."""
    return (
        join([tag("span", tag("bdi", clipped(name, NAME)), class_="split") for name in one.taken])
        if one.taken
        else Html(NONE)
    )


def _figure(name: str, words: str) -> Html:
    return tag("td", tag("span", f"{name} ", class_="unit"), words, class_="n wide" if words == NONE else "n")


def _worth(name: str, value: float | None, top: float) -> Html:
    if value is None:
        return _figure(name, NONE)
    return tag(
        "td",
        tag("span", f"{name} ", class_="unit"),
        drawing.bar(value, top),
        tag("b", drawing.score(value)),
        class_="n value",
    )
