"""The first page: the systems of a corpus in every setting, and its documents with what one of them gains
along each.
"""

from __future__ import annotations

import math

import polars as pl

from data_contracts.documents import SPLITS
from data_contracts.evaluations import OWN, SETTINGS
from reports.browser.list_page import page_links, sort_head
from reports.explorer.address import Look
from reports.explorer.comparison import Comparison, bar, comparison_of, name_of
from reports.explorer.library import Library
from reports.explorer.run import Reading, Run
from reports.explorer.site import site
from reports.html.formats import count, number
from reports.html.markup import Html, clipped, tag
from reports.site import drawing, layout

ROWS = 50
LEAST_TOP = 2.0  # nats a target; smaller bars would make noise look like a signal
NONE = "\N{EN DASH}"


def render(library: Library, look: Look) -> str:
    """The page of `look`; the last page if there are not so many.

    Raises:
        Failure: (exit code 2) if a reading does not exist.
    """
    compared = comparison_of(library, look)
    found = library.listed(look, *compared)
    pages = max(1, -(-len(found) // ROWS))
    page = min(look.page, pages)
    numbers = found.slice((page - 1) * ROWS, ROWS)
    shown = pl.concat([library.documents, library.figures(*compared)], how="horizontal")[numbers]
    nothing = tag(
        "p",
        "No document is like that. ",
        tag("a", "Show all", href=look.listed(find="", split="")),
        class_="note",
    )
    return layout.page(
        site(library.name),
        "Systems and documents",
        tag(
            "h1",
            "Systems",
            tag("small", "perplexity in every setting; choose one to see what it does along each document"),
        ),
        _systems(library, look, compared),
        tag(
            "section",
            tag("h2", "Documents"),
            bar(library, look, "/", compared),
            _filters(look, len(found), len(library.documents)),
        ),
        *([_documents(shown, look, compared), page_links(look, page, pages)] if len(shown) else [nothing]),
        kind="list",
    )


def _systems(library: Library, look: Look, compared: Comparison) -> Html:
    """A row a run, a column a setting."""
    settings = [
        name
        for name in SETTINGS
        if any(Reading(run.name, name) in run.readings for run in library.runs.values())
    ]
    heads = ["run", "system", "documents", "tokens", "bits a byte", *settings]
    kinds = ["", "", "n wide", "n wide", *["n"] * (len(heads) - 4)]
    titles = [None] * 5 + [SETTINGS[name] for name in settings]
    head = [
        tag("th", words, scope="col", class_=kind or None, title=title)
        for words, kind, title in zip(heads, kinds, titles, strict=True)
    ]
    rows = [_system(run, settings, look, compared) for run in library.runs.values()]
    table = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows), class_="systems")
    partial = any(_partial(run, name) for run in library.runs.values() for name in settings)
    note = (
        [tag("p", "* not over all tokens, so not comparable with the others", class_="note")]
        if partial
        else []
    )
    return tag("div", table, *note, class_="scroll", tabindex="0")


def _partial(run: Run, setting: str) -> bool:
    return Reading(run.name, setting) in run.readings and run.total(setting, "tokens") != run.total(
        OWN, "tokens"
    )


def _system(run: Run, settings: list[str], look: Look, compared: Comparison) -> Html:
    bits = run.total(OWN, "loss") / math.log(2) / max(1.0, run.total(OWN, "bytes"))
    cells = []
    for setting in settings:
        reading = Reading(run.name, setting)
        if reading not in run.readings:
            cells.append(tag("td", NONE, class_="n"))
            continue
        figure = number(run.perplexity(setting), 2) + ("*" if _partial(run, setting) else "")
        current = {compared.show: "true", compared.against: "false"}.get(reading)
        kind = {compared.against: "n against", compared.show: "n shown"}.get(reading, "n")
        cells.append(
            tag(
                "td", tag("a", figure, href=look.listed(show=str(reading)), aria_current=current), class_=kind
            )
        )
    return tag(
        "tr",
        tag("th", tag("bdi", clipped(run.name, layout.NAME)), scope="row"),
        tag("td", tag("bdi", clipped(run.system, layout.NAME))),
        tag("td", count(run.documents), class_="n wide"),
        tag("td", count(run.total(OWN, "tokens")), class_="n wide"),
        tag("td", number(bits, 3), class_="n"),
        *cells,
    )


def _documents(shown: pl.DataFrame, look: Look, compared: Comparison) -> Html:
    sizes = shown["sparks"].explode(empty_as_null=True).abs().drop_nulls()
    top = max(LEAST_TOP, float(sizes.quantile(0.98) or 0.0)) if len(sizes) else LEAST_TOP
    heads = (
        ("source", "document", "source", ""),
        ("", "gain along the document", "", ""),
        ("chunks", "chunks", "", "n wide"),
        ("loss", "loss", "of what is shown, nats a token", "n"),
        ("gain", "gain", "nats a token", "n"),
    )
    rows = [_row(row, look, top) for row in shown.iter_rows(named=True)]
    head = tag("thead", tag("tr", *(sort_head(look, *one) for one in heads)))
    said = f" over stretches of the document, nats a target, cut at ±{top:.1f}. Loss and gain: nats a token."
    note = tag(
        "p",
        "Bars: gain of ",
        name_of(compared.show),
        " over ",
        name_of(compared.against),
        said,
        class_="note",
    )
    return tag("div", tag("table", head, tag("tbody", *rows), class_="documents"), note)


def _row(row: dict, look: Look, top: float) -> Html:
    return tag(
        "tr",
        layout.document_cell(row["doc_id"], row["source"], row["split"], look.link(f"/d/{row['key']}")),
        tag("td", drawing.sparkline(row["sparks"], top) if row["sparks"] else NONE),
        tag("td", count(row["chunks"]), class_="n wide"),
        tag("td", number(row["loss"], 3), tag("span", " loss", class_="unit"), class_="n"),
        tag("td", number(row["gain"], 3, signed=True), tag("span", " gain", class_="unit"), class_="n"),
    )


def _filters(look: Look, found: int, documents: int) -> Html:
    box = tag(
        "input",
        type="search",
        name="find",
        value=look.find,
        maxlength=200,
        placeholder="source or id",
        aria_label="Source or id",
    )
    choices = [
        tag("option", split or "all splits", value=split, selected="" if split == look.split else None)
        for split in ("", *SPLITS)
    ]
    kept = [
        tag("input", type="hidden", name=name, value=value)
        for name in ("sort", "show", "against")
        if (value := getattr(look, name))
    ]
    said = (
        []
        if found == documents
        else [
            f"{count(found)} of {count(documents)} documents ",
            tag("a", "show all", href=look.listed(find="", split="")),
        ]
    )
    select = tag("select", *choices, name="split", aria_label="Split")
    return tag(
        "form", box, select, *kept, tag("button", "Filter"), tag("span", *said), action="/", class_="filters"
    )
