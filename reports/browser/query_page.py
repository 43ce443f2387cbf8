"""A query over its target, beside one of its candidates over its continuation; below, all candidates."""

from __future__ import annotations

import numpy as np
import polars as pl

from data_contracts.failure import Failure
from reports.browser import candidate_table
from reports.browser.document import Candidate, Document
from reports.browser.document_page import heading, way
from reports.browser.gains import Gains
from reports.browser.library import LabelLibrary
from reports.html.markup import Html, clipped, join, tag
from reports.site import drawing, layout
from reports.site.address import Missing, View, link


def render(library: LabelLibrary, gains: Gains, key: str, chunk: int, view: View) -> str:
    """The page of one chunk; one that is no query has its text and the ways to the next queries.

    Raises:
        Missing: if the document or the chunk does not exist.
        Failure: what `Gains.painted` raises if `view` has the page wait for it.
    """
    document = opened(library, key, chunk)
    candidates = document.candidates(chunk)
    chosen = _chosen(candidates, view)
    content = [
        heading(library, document, view, chunk),
        _ways(document, chunk, view),
        _map(document, chunk, candidates, chosen, view),
    ]
    if chosen:
        content += [
            pair(document, chunk, chosen, _target(library, gains, document, chunk, chosen, view)),
            candidate_table.render(library, document, chunk, candidates, chosen, view),
        ]
    else:
        why = (
            "This chunk is no query: too little lies before it, or what follows it is not a full chunk of the"
            " same training sequence."
        )
        content += [tag("p", why, class_="note"), panel("Chunk", document.texts, chunk)]
    source = document.facts.name
    return layout.page(library.site, f"{chunk} · {source}", *content, kind="query")


def opened(library: LabelLibrary, key: str, chunk: int) -> Document:
    """The document of `key`.

    Raises:
        Missing: if it does not exist or has no such chunk.
    """
    document = library.document(key)
    if chunk >= len(document.texts):
        cause = f"{document.facts.doc_id!r} has chunks 0 to {len(document.texts) - 1}"
        raise Missing(f"chunk {chunk}", cause, "choose one in the document's strip")
    return document


def _chosen(candidates: list[Candidate], view: View) -> Candidate | None:
    """The candidate that the address names, else the first in the order shown."""
    named = [one for one in candidates if one.chunk == view.c]
    return next(iter(named or candidate_table.ordered(candidates, view)), None)


def _ways(document: Document, chunk: int, view: View) -> Html:
    before, after = document.beside(chunk)
    path = f"/d/{document.key}"
    at = int(np.searchsorted(document.queries, chunk)) + 1
    words = f"Query {at:,} of {len(document.queries):,}" if chunk in document.queries else f"Chunk {chunk:,}"
    backward = way("← previous query", None if before is None else view.link(f"{path}/{before}"), "k")
    forward = way("next query →", None if after is None else view.link(f"{path}/{after}"), "j")
    return tag("nav", tag("h2", words), backward, forward, class_="ways", aria_label="Queries")


def _map(
    document: Document, chunk: int, candidates: list[Candidate], chosen: Candidate | None, view: View
) -> Html:
    starts = np.searchsorted(document.queries, drawing.columns(len(document.texts))[:-1])
    nearest = document.queries[np.minimum(starts, len(document.queries) - 1)]
    links = [view.link(f"/d/{document.key}/{query}") for query in nearest]
    marks = [(one.chunk, drawing.step(one.scores[0])) for one in candidates]
    return drawing.document_map(document.best[0], links, marks, chosen.chunk if chosen else None, chunk)


def panel(name: str, texts: pl.Series, chunk: int, *about: str, body: Html | None = None) -> Html:
    """A chunk's text, or `body` in its place, under what it is."""
    title = tag("h3", name, tag("span", f"chunk {chunk}", class_="about"), *about)
    text = tag("div", texts[chunk], class_="chunk", dir="auto") if body is None else body
    return tag("section", title, text, class_=f"panel {name.lower()}")


def pair(document: Document, chunk: int, chosen: Candidate, target: list[Html]) -> Html:
    """Four texts; what ought to match lies side by side."""
    rank = chosen.ranks[0]
    verdict = tag(
        "b",
        " → ".join(drawing.score(score) for score in chosen.scores),
        class_=f"score {drawing.step(chosen.scores[-1])}",
    )
    about = drawing.dotted(
        [verdict, f"BM25 rank {'none' if rank is None else rank}", f"{chunk - chosen.chunk} chunks back"]
    )
    split = (
        f"{drawing.score(chosen.halves[0])} nats in the first half, {drawing.score(chosen.halves[1])} in the"
        " second"
    )
    halves = [tag("span", split, class_="about")] if len(chosen.scores) == 1 else []
    local = tag(
        "details",
        tag("summary", f"chunks {chunk - 2} and {chunk - 1}, the local context that s_t compares with"),
        tag("div", document.texts[chunk - 2] + document.texts[chunk - 1], class_="chunk", dir="auto"),
    )
    panels = (
        panel("Query", document.texts, chunk),
        panel("Target", document.texts, chunk + 1, *halves, body=join(target)),
        panel("Candidate", document.texts, chosen.chunk, tag("span", about, class_="about")),
        panel("Continuation", document.texts, chosen.chunk + 1),
    )
    return tag("div", local, tag("div", *panels, class_="pair"), class_="texts")


def _target(
    library: LabelLibrary, gains: Gains, document: Document, chunk: int, chosen: Candidate, view: View
) -> list[Html]:
    """The target, coloured by what the chosen candidate does to its tokens unless `view` hides that; twice if
    two reference LMs can tell.
    """
    path = f"/d/{document.key}/{chunk}"
    able = [
        number
        for number in range(len(library.sets))
        if gains.known(number) and chosen.scores[number] is not None
    ]
    if not able:
        note = tag(
            "p",
            "Gains of tokens need the reference LM that made the labels beside them, in reference_lm.",
            class_="note",
        )
        return [tag("div", document.texts[chunk + 1], class_="chunk", dir="auto"), note]
    if view.gains == "hide":
        show = tag(
            "a",
            "gain of each token",
            tag("kbd", "g"),
            href=view.link(path, c=view.c, gains=""),
            data_key="g",
        )
        return [
            tag("div", document.texts[chunk + 1], class_="chunk", dir="auto"),
            tag("p", show, class_="note"),
        ]
    shown: list[Html] = []
    for number in able:
        name = (
            [tag("p", tag("bdi", clipped(library.names[number], layout.NAME)), class_="note")]
            if len(able) > 1
            else []
        )
        shown += [*name, *_gained(gains, document, chunk, chosen, view, number)]
    hide = tag("a", "hide gains", tag("kbd", "g"), href=view.link(path, c=view.c, gains="hide"), data_key="g")
    return [
        *shown,
        drawing.legend(drawing.TOKEN_STEPS, "gain of a token, nats"),
        tag("p", hide, class_="note"),
    ]


def _gained(
    gains: Gains, document: Document, chunk: int, chosen: Candidate, view: View, number: int
) -> list[Html]:
    try:
        pieces = gains.pieces(document, chunk + 1, number) or [document.texts[chunk + 1]]
    except Failure as failure:  # the labels can be read all the same
        text = tag("div", document.texts[chunk + 1], class_="chunk", dir="auto")
        return [text, tag("p", f"No gains of tokens: {failure.what}, {failure.cause}.", class_="note")]
    if view.gains == "wait":
        painted = gains.painted(document, chunk, chosen, number)
        tokens = [
            tag("span", piece, class_=kind, title=gain)
            for piece, kind, gain in zip(pieces, painted.steps, painted.gains, strict=True)
        ]
        return [
            tag("div", *tokens, class_="chunk tokens", dir="auto"),
            tag("p", painted.words, class_="note"),
        ]
    address = link(f"/gains/{document.key}/{chunk}", c=chosen.chunk, set=number or None)
    text = tag(
        "div",
        *(tag("span", piece) for piece in pieces),
        class_="chunk tokens",
        dir="auto",
        data_gains=address,
    )
    wait = tag(
        "a",
        "show them without a script",
        href=view.link(f"/d/{document.key}/{chunk}", c=view.c, gains="wait"),
    )
    return [text, tag("p", tag("noscript", wait), class_="note", role="status")]
