"""The list of documents: what each is worth as supervision, at a glance."""

from __future__ import annotations

import polars as pl

from data_contracts.documents import SPLITS
from reports.browser.library import LabelLibrary
from reports.html.formats import count, percent
from reports.html.markup import Html, tag
from reports.site import drawing, layout
from reports.site.address import State, View

ROWS = 50
LEAST_TOP = 1.0  # nats; smaller bars would make noise look like a signal
HEADS = (
    ("source", "document", "source", ""),
    ("", "best s_t along the document", "", ""),
    ("chunks", "chunks", "", "n wide"),
    ("queries", "queries", "", "n"),
    ("positive", "positive", "share of candidates with s_t > 0", "n"),
    ("best_mean", "mean best, nats", "mean over its queries of the best s_t", "n"),
    ("best_max", "best, nats", "highest s_t", "n wide"),
)


def render(library: LabelLibrary, view: View) -> str:
    """The page of `view`; the last page if there are not so many."""
    found = library.listed(view)
    pages = max(1, -(-len(found) // ROWS))
    page = min(view.page, pages)
    shown = library.documents[found.slice((page - 1) * ROWS, ROWS)]
    nothing = tag("p", "No document is like that. ", tag("a", "Show all", href="/"), class_="note")
    title = tag("h1", "Documents", tag("small", summary(library.documents)))
    body = (
        [*table(shown, view, [sort_head(view, *head) for head in HEADS]), page_links(view, page, pages)]
        if len(shown)
        else [nothing]
    )
    return layout.page(
        library.site,
        "Documents",
        title,
        _filters(view, len(found), len(library.documents)),
        *body,
        *([library.made()] if library.made else []),
        kind="list",
    )


def table(shown: pl.DataFrame, view: View, heads: list[Html]) -> list[Html]:
    """Documents, a row each, under `heads`."""
    top = _top(shown)
    rows = [_row(row, view, top) for row in shown.iter_rows(named=True)]
    note = f"Bars: mean of the best s_t over stretches of the document, cut at ±{top:.1f} nats."
    documents = tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *rows), class_="documents")
    return [documents, tag("p", note, class_="note")]


def summary(documents: pl.DataFrame) -> str:
    """How many there are, of what."""
    queries, pairs, positive = (int(documents[name].sum()) for name in ("queries", "pairs", "positive"))
    found = f"{count(len(documents))} documents with {count(queries)} queries and {count(pairs)} candidates"
    return f"{found}, {percent(positive / pairs)} positive"


def _top(shown: pl.DataFrame) -> float:
    """What the bars of a page are cut at, nats: all but the highest few fit."""
    sizes = shown["sparks"].explode(empty_as_null=True).abs().drop_nulls()
    return max(LEAST_TOP, float(sizes.quantile(0.98) or 0.0)) if len(sizes) else LEAST_TOP


def sort_head(view: State, sort: str, words: str, title: str, kind: str) -> Html:
    """The head of a column; a link to the list in its order, if it has one."""
    if not sort:
        return tag("th", words, scope="col", class_=kind or None)
    first, other = (sort, f"-{sort}") if sort == "source" else (f"-{sort}", sort)
    turned = other if view.sort == first else first
    order = {sort: "ascending", f"-{sort}": "descending"}.get(view.sort)
    anchor = tag("a", words, href=view.listed(sort=turned), title=title or None)
    return tag("th", anchor, scope="col", class_=kind or None, aria_sort=order)


def _row(row: dict, view: View, top: float) -> Html:
    return tag(
        "tr",
        layout.document_cell(row["doc_id"], row["source"], row["split"], view.link(f"/d/{row['key']}")),
        tag("td", drawing.sparkline(row["sparks"], top)),
        tag("td", count(row["chunks"]), class_="n wide"),
        tag("td", count(row["queries"]), tag("span", " queries", class_="unit"), class_="n"),
        tag("td", percent(row["rate"]), tag("span", " positive", class_="unit"), class_="n"),
        tag(
            "td", drawing.score(row["best_mean"]), tag("span", " nats, mean best", class_="unit"), class_="n"
        ),
        tag("td", drawing.score(row["best_max"]), class_="n wide"),
    )


def _filters(view: View, found: int, documents: int) -> Html:
    box = tag(
        "input",
        type="search",
        name="find",
        value=view.find,
        maxlength=200,
        placeholder="source or id",
        aria_label="Source or id",
    )
    choices = [
        tag("option", split or "all splits", value=split, selected="" if split == view.split else None)
        for split in ("", *SPLITS)
    ]
    kept = [tag("input", type="hidden", name="sort", value=view.sort)] if view.sort else []
    said = (
        ""
        if found == documents
        else tag("span", f"{count(found)} of {count(documents)} documents ", tag("a", "show all", href="/"))
    )
    select = tag("select", *choices, name="split", aria_label="Split")
    return tag("form", box, select, *kept, tag("button", "Filter"), said, action="/", class_="filters")


def page_links(view: State, page: int, pages: int) -> Html:
    """The ways to the pages before and after this one."""
    if pages == 1:
        return Html("")
    before = [tag("a", "← previous", href=view.listed(page=page - 1), data_key="p")] if page > 1 else []
    after = [tag("a", "next →", href=view.listed(page=page + 1), data_key="n")] if page < pages else []
    return tag(
        "nav",
        *before,
        tag("span", f"page {page} of {pages}"),
        *after,
        class_="pages",
        aria_label="Pages of the list",
    )
