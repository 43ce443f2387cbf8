"""What every page has around it: the head, the bar with the search box, and the keys."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from data_contracts.failure import Failure
from reports.browser.address import link
from reports.browser.shelf import Shelf
from reports.markup import Html, clipped, join, tag

STATIC = {"style.css": "text/css; charset=utf-8", "script.js": "text/javascript; charset=utf-8"}
NAME = 300  # characters of a source that are shown
KEYS = (
    ("j", "next query, or next row of a list"),
    ("k", "previous query or row"),
    ("n", "next document"),
    ("p", "previous document"),
    ("1 … 9", "choose a candidate"),
    ("b", "candidates by s_t or by BM25"),
    ("g", "gains of the target's tokens"),
    ("t", "whole texts of all candidates"),
    ("d", "the document of this query"),
    ("h", "list of documents"),
    ("/", "search"),
    ("?", "this list"),
)
TERMS = (
    ("query, target", "A query is a chunk of a document; its target is the chunk that follows it."),
    ("candidate", "An earlier chunk that BM25 proposes for the query, with its continuation, the chunk that follows it."),
    (
        "s_t",
        "How much more likely, in nats summed over the target, the reference LM finds the target after the candidate, its continuation and "
        "the query than after the two chunks that precede the query. Positive: the candidate helps.",
    ),
    ("BM25 rank", "Place of the candidate when BM25 alone orders them, from 0 as in the column `rank`."),
    ("moved", "How many places s_t moves the candidate up (▲) or down (▼) from its BM25 rank."),
    ("distance", "Chunks from the candidate to the query."),
    ("gain of a token", "Its part of s_t. The gains of a target's tokens add up to s_t."),
)


@cache
def static(name: str) -> tuple[bytes, str]:
    """A static file, and an address of it that changes with it."""
    data = (Path(__file__).with_name("static") / name).read_bytes()
    return data, f"/static/{name}?v={hashlib.sha256(data).hexdigest()[:12]}"


def page(shelf: Shelf, title: str, *content: str, q: str = "", kind: str) -> str:
    """A whole page.

    Args:
        title: for the browser's tab.
        q: what the search box holds.
        kind: class of the body.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{clipped(title, 80)} · {clipped(shelf.names[0], 80)}"),
        tag("link", rel="icon", href="data:,"),
        tag("link", rel="stylesheet", href=static("style.css")[1]),
        tag("script", src=static("script.js")[1], defer=""),
    )
    skip = tag("a", "To the content", href="#main", class_="skip")
    body = tag("body", skip, _bar(shelf, q), tag("main", *content, id="main", tabindex=-1), _keys(), class_=kind)
    return join([Html("<!doctype html>\n"), tag("html", head, body, lang="en"), Html("\n")])


def _bar(shelf: Shelf, q: str) -> Html:
    box = tag("input", type="search", name="q", value=q, maxlength=200, aria_label="Search the text of chunks", placeholder="Search texts")
    search = tag("form", box, tag("kbd", "/"), tag("button", "Search"), action="/search", role="search")
    others = [tag("a", "Compare", href="/compare")] if len(shelf.sets) > 1 else []
    links = tag(
        "nav",
        tag("a", "Documents", href="/", data_key="h"),
        tag("a", "Queries", href=link("/search", order="best")),
        *others,
        tag("a", "Help", href="/help", data_key="?"),
        aria_label="Pages",
    )
    name = tag("a", tag("bdi", clipped(" ⇄ ".join(shelf.names), 120)), href="/", class_="home")
    return tag("header", name, search, links)


def key_list() -> Html:
    """The keys and what they do."""
    return tag("dl", *(tag("div", tag("dt", tag("kbd", key)), tag("dd", words)) for key, words in KEYS), class_="keys")


def term_list() -> Html:
    """What the words of the pages mean."""
    return tag("dl", *(tag("div", tag("dt", term), tag("dd", words)) for term, words in TERMS), class_="terms")


def _keys() -> Html:
    close = tag("form", tag("button", "Close"), method="dialog")
    more = tag("p", tag("a", "What the terms mean", href="/help"))
    return tag("dialog", tag("h2", "Keys"), key_list(), more, close, id="keys", aria_label="Keys")


def help_page(shelf: Shelf) -> str:
    """Keys, terms, and where the labels come from."""
    origins = []
    for name, labels in zip(shelf.names, shelf.sets, strict=True):
        facts = [("directory", str(labels.directory)), ("digest", labels.digest), *((str(k), str(v)) for k, v in labels.scorer.items())]
        rows = [tag("div", tag("dt", clipped(key, 80)), tag("dd", tag("code", clipped(value, NAME)))) for key, value in facts]
        origins += [tag("h3", tag("bdi", clipped(name, NAME))), tag("dl", *rows, class_="terms")]
    return page(
        shelf,
        "Help",
        tag("h1", "Help"),
        tag("section", tag("h2", "Keys"), key_list(), tag("p", "Keys need the page's script; every one of them is also a link.")),
        tag("section", tag("h2", "Terms"), term_list()),
        tag("section", tag("h2", "Labels and their scorer"), *origins),
        kind="help",
    )


def failure_page(shelf: Shelf, failure: Failure) -> str:
    """What went wrong, why, and where to go from here."""
    ways = [tag("a", "List of documents", href="/"), " · ", tag("a", "Search", href="/search"), " · ", tag("a", "Help", href="/help")]
    words = [tag("h1", failure.what), tag("p", _sentence(failure.cause)), tag("p", _sentence(failure.remedy)), tag("p", *ways)]
    return page(shelf, failure.what, *words, kind="failure")


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."
