"""Documents of a label set with some of their queries as one page that needs nothing else: no server, no
script, no network.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np
import polars as pl

from reports.browser import candidate_table, list_page, query_page
from reports.browser.document import Document
from reports.browser.document_page import facts_of
from reports.browser.library import LabelLibrary
from reports.browser.vocabulary import TERMS
from reports.html import frame
from reports.html.markup import Html, clipped, tag
from reports.site import drawing, layout
from reports.site.address import View

QUERIES, CANDIDATES = 3, 5  # of a document; of a query
MOST_BYTES = 4_800_000


@dataclass(frozen=True)
class Anchors(View):
    """Links to places of the same page."""

    def link(self, path: str, **changes: str | int | None) -> str:
        """`#KEY` for a document, `#KEY-CHUNK` for a query."""
        return "#" + path.removeprefix("/d/").replace("/", "-")


def render(library: LabelLibrary, documents: int) -> tuple[str, int]:
    """The page, and how many documents are on it: as many as are asked for, or as there is room for, spread
    evenly over the set.
    """
    sections, wanted = list[Html](), np.zeros(0, int)
    while not sections or len(sections) < len(wanted):
        wanted = np.unique(
            np.linspace(0, len(library.documents) - 1, min(documents, len(library.documents)))
            .round()
            .astype(int)
        )
        sections = _that_fit(library, wanted)
        documents = len(sections)
    return _page(library, library.documents[wanted.tolist()], sections), len(sections)


def _that_fit(library: LabelLibrary, wanted: np.ndarray) -> list[Html]:
    """The first of these documents, until the page would be too large."""
    sections, bulk = list[Html](), 0
    for key in library.documents["key"][wanted.tolist()]:
        sections.append(_document(library, library.document(key)))
        bulk += len(sections[-1].encode())
        if bulk > MOST_BYTES and len(sections) > 1:
            return sections[:-1]
    return sections


def _page(library: LabelLibrary, shown: pl.DataFrame, sections: list[Html]) -> str:
    name = tag("bdi", clipped(library.names[0], layout.NAME))
    title = tag("h1", "Labels of ", name, tag("small", list_page.summary(library.documents)))
    said = (
        f"{len(shown):,} of them follow, spread evenly, each with the queries that were helped most and least"
        " and their best candidates."
    )
    heads = [tag("th", words, scope="col", class_=kind or None) for _, words, _, kind in list_page.HEADS]
    terms = tag("section", tag("h2", "Terms"), layout.term_list(TERMS))
    main = tag(
        "main",
        title,
        tag("p", said, class_="note"),
        *list_page.table(shown, Anchors(), heads),
        terms,
        *sections,
    )
    return frame.document(
        f"Labels of {clipped(library.names[0], 80)}",
        layout.static("style.css")[0].decode(),
        tag("body", main, class_="share"),
    )


def _document(library: LabelLibrary, document: Document) -> Html:
    key, best = document.key, document.best[0]
    queries = np.flatnonzero(np.isfinite(best))
    ordered = queries[np.argsort(-best[queries], kind="stable")]
    chosen = np.unique([*islice(ordered, QUERIES - 1), ordered[-1]])
    title = tag(
        "h2",
        tag("a", tag("bdi", clipped(document.facts.name, layout.NAME)), href=f"#{key}"),
    )
    about = tag("p", facts_of(document), class_="about")
    return tag("section", title, about, *(_query(library, document, int(query)) for query in chosen), id=key)


def _query(library: LabelLibrary, document: Document, query: int) -> Html:
    candidates, place = document.candidates(query), f"{document.key}-{query}"
    marks = [(one.chunk, drawing.step(one.scores[0])) for one in candidates]
    bounds = drawing.columns(len(document.texts))
    target = tag("div", document.texts[query + 1], class_="chunk", dir="auto")
    return tag(
        "section",
        tag("h3", tag("a", f"Query at chunk {query}", href=f"#{place}")),
        drawing.document_map(document.best[0], [None] * (len(bounds) - 1), marks, candidates[0].chunk, query),
        query_page.pair(document, query, candidates[0], [target]),
        candidate_table.table(
            library, document, query, candidates[:CANDIDATES], candidates[0], Anchors(full="1")
        ),
        id=place,
    )
