"""A document as a strip of its chunks, and the queries worth looking at first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reports.browser import histogram
from reports.browser.document import Document
from reports.browser.library import LabelLibrary
from reports.html.formats import count, percent
from reports.html.markup import Html, clipped, join, tag
from reports.site import drawing, layout
from reports.site.address import State, View, link

STRIP = 1024  # chunks on a page
LISTED = 8
EXCERPT = 160


def render(library: LabelLibrary, key: str, view: View) -> str:
    """The page of a document; the chunk that the address names is marked in its strip."""
    document = library.document(key)
    source = document.facts.name
    if view.c is not None and view.c < len(document.texts):
        view = replace(view, at=view.c // STRIP + 1)
    return layout.page(
        library.site,
        source,
        heading(library, document, view),
        _strips(library, document, view),
        _queries(library, document, view),
        histogram.render(library, document),
        kind="document",
    )


def heading(library: LabelLibrary, document: Document, view: View, chunk: int | None = None) -> Html:
    """Which document this is, and the ways to its neighbours in the list; `chunk` on the page of one, with a
    link to where it stands.
    """
    key, name = document.key, tag("bdi", clipped(document.facts.name, layout.NAME))
    before, after = library.beside(key, view)
    library.expect(after)
    title = tag(
        "h1", name if chunk is None else tag("a", name, href=view.link(f"/d/{key}", c=chunk), data_key="d")
    )
    return titled(
        title, facts_of(document), before and view.link(f"/d/{before}"), after and view.link(f"/d/{after}")
    )


def titled(title: Html, facts: Html, before: str | None, after: str | None) -> Html:
    """A document's title over its facts, beside the ways to the documents before and after it."""
    ways = [way("← previous document", before, "p"), way("next document →", after, "n")]
    return tag(
        "div",
        tag("div", title, tag("p", facts, class_="about")),
        tag("nav", *ways, aria_label="Documents"),
        class_="heading",
    )


def facts_of(document: Document) -> Html:
    """A document in a line."""
    facts = document.facts
    return drawing.dotted(
        [
            tag("code", clipped(facts.doc_id, 80)),
            facts.split,
            f"{count(len(document.texts))} chunks",
            f"{count(facts.queries)} queries",
            f"{percent(facts.positive_rate)} of {count(facts.pairs)} candidates positive",
            f"mean best s_t {drawing.score(facts.best_mean)} nats",
        ]
    )


def way(words: str, address: str | None, key: str) -> Html:
    """A link with its key, or the words alone where it leads nowhere."""
    if not address:
        return tag("span", words, class_="off")
    return tag("a", words, tag("kbd", key), href=address, data_key=key)


def _strips(library: LabelLibrary, document: Document, view: View) -> Html:
    pages = -(-len(document.texts) // STRIP)
    page = min(view.at, pages)
    begin = (page - 1) * STRIP
    end = min(begin + STRIP, len(document.texts))
    strips: list[Html] = []
    for number, name in enumerate(library.names):
        if len(library.names) > 1:
            strips.append(tag("h3", tag("bdi", clipped(name, layout.NAME))))
        path, _, state = view.link(f"/d/{document.key}").partition("?")
        addresses = [f"{path}/{chunk}{'?' if state else ''}{state}" for chunk in range(begin, end)]
        cells = [
            _cell(document, number, chunk, address, begin, view.c)
            for chunk, address in enumerate(addresses, begin)
        ]
        strips.append(tag("nav", *cells, class_="strip", aria_label=f"Chunks {begin} to {end - 1}"))
    legend = drawing.legend(
        drawing.SCORE_STEPS, "best s_t of a chunk's candidates, nats", unlabelled="no query"
    )
    return tag(
        "section",
        tag("h2", "Chunks"),
        *strips,
        legend,
        strip_ways(view, f"/d/{document.key}", page, len(document.texts)),
    )


def strip_ways(state: State, address: str, page: int, chunks: int) -> Html:
    """The ways to the parts of a long document before and after the one on this page, from 1."""
    pages, begin = -(-chunks // STRIP), (page - 1) * STRIP
    if pages == 1:
        return Html("")
    before = [tag("a", "← earlier", href=state.link(address, at=page - 1))] if page > 1 else []
    after = [tag("a", "later →", href=state.link(address, at=page + 1))] if page < pages else []
    words = tag("span", f"chunks {begin:,} to {min(begin + STRIP, chunks) - 1:,} of {chunks:,}")
    return tag("nav", *before, words, *after, class_="pages", aria_label="Parts of the document")


def _cell(document: Document, number: int, chunk: int, address: str, first: int, here: int | None) -> Html:
    """One chunk; only the first of a strip is reached with Tab, the others from there with arrows."""
    best, rank = float(document.best[number][chunk]), int(document.best_rank[number][chunk])
    words = (
        f"chunk {chunk}: no query"
        if np.isnan(best)
        else f"chunk {chunk}: best s_t {drawing.score(best)}, BM25 rank {rank}"
    )
    current = "true" if chunk == here else None
    kind = f"cell {drawing.step(best)}"
    return tag(
        "a",
        href=address,
        class_=kind,
        title=words,
        tabindex=None if chunk == first else -1,
        aria_current=current,
    )


def _queries(library: LabelLibrary, document: Document, view: View) -> Html:
    """Short lists of queries: those with most to see, each under what makes it so."""
    best, rank = document.best[0], document.best_rank[0]
    queries = np.flatnonzero(np.isfinite(best))
    by_best = queries[np.argsort(-best[queries], kind="stable")]
    helped = queries[best[queries] > 0]
    moved = helped[np.lexsort((-best[helped], -rank[helped]))]
    lists = [("Helped most", by_best[:LISTED]), ("Best candidate far down in BM25's order", moved[:LISTED])]
    lists.append(("Helped least", by_best[::-1][:LISTED]))
    if len(library.sets) > 1:
        change = np.abs(document.best[1] - document.best[0])
        both = np.flatnonzero(np.isfinite(change))
        lists.insert(
            0,
            (
                f"Best s_t changed most in {library.names[1]}",
                both[np.argsort(-change[both], kind="stable")][:LISTED],
            ),
        )
    start = min(int(np.searchsorted(document.queries, view.c or 0)), len(document.queries) - 1)
    words = "first query" if view.c is None else f"query at chunk {document.queries[start]}"
    first = tag(
        "a",
        words,
        tag("kbd", "j"),
        href=view.link(f"/d/{document.key}/{document.queries[start]}"),
        data_key="j",
    )
    columns = [
        tag("div", tag("h3", words), tag("ol", *(_query(document, int(query), view) for query in found)))
        for words, found in lists
    ]
    every = tag("a", "all of them, with filters", href=link("/search", source=document.facts.doc_id))
    title = tag("h2", "Queries ", first, every)
    return tag("section", title, tag("div", *columns, class_="columns"))


def _query(document: Document, query: int, view: View) -> Html:
    best, rank = [float(figures[query]) for figures in document.best], int(document.best_rank[0][query])
    figures = tag(
        "b", " → ".join(drawing.score(value) for value in best), class_=f"score {drawing.step(best[-1])}"
    )
    target = document.texts[query + 1] if query + 1 < len(document.texts) else ""
    excerpt = tag("span", clipped(" ".join(target.split()), EXCERPT), class_="excerpt", dir="auto")
    about = tag("span", f"chunk {query} · BM25 rank {rank}", class_="about")
    return tag("li", tag("a", join([figures, about, excerpt]), href=view.link(f"/d/{document.key}/{query}")))
