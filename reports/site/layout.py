"""What every page has around it: the head, the bar with the search box, and the keys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from data_contracts.failure import Failure
from reports.html.markup import Html, clipped, join, tag
from reports.site import drawing

STATIC = {"style.css": "text/css; charset=utf-8", "script.js": "text/javascript; charset=utf-8"}
NAME = 300  # characters of a source that are shown
Words = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Site:
    """What all pages of one browser have in common.

    Attributes:
        name: of what is looked at.
        links: words, address and key (or none) of the ways in the bar; the last is to the help.
        keys: every key and what it does.
        searches: whether there is a page `/search`.
    """

    name: str
    links: tuple[tuple[str, str, str | None], ...]
    keys: Words
    searches: bool = False


@cache
def static(name: str) -> tuple[bytes, str]:
    """A static file, and an address of it that changes with it."""
    data = (Path(__file__).with_name("static") / name).read_bytes()
    return data, f"/static/{name}?v={hashlib.sha256(data).hexdigest()[:12]}"


def page(site: Site, title: str, *content: str, q: str = "", kind: str) -> str:
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
        tag("title", f"{clipped(title, 80)} · {clipped(site.name, 80)}"),
        tag("link", rel="icon", href="data:,"),
        tag("link", rel="stylesheet", href=static("style.css")[1]),
        tag("script", src=static("script.js")[1], defer=""),
    )
    skip = tag("a", "To the content", href="#main", class_="skip")
    body = tag(
        "body", skip, _bar(site, q), tag("main", *content, id="main", tabindex=-1), _keys(site), class_=kind
    )
    return join([Html("<!doctype html>\n"), tag("html", head, body, lang="en"), Html("\n")])


def _bar(site: Site, q: str) -> Html:
    box = tag(
        "input",
        type="search",
        name="q",
        value=q,
        maxlength=200,
        aria_label="Search the text of chunks",
        placeholder="Search texts",
    )
    search = tag("form", box, tag("kbd", "/"), tag("button", "Search"), action="/search", role="search")
    links = tag(
        "nav",
        *(tag("a", words, href=address, data_key=key) for words, address, key in site.links),
        aria_label="Pages",
    )
    name = tag("a", tag("bdi", clipped(site.name, 120)), href="/", class_="home")
    return tag("header", name, *([search] if site.searches else []), links)


def key_list(keys: Words) -> Html:
    """Keys and what they do."""
    return tag(
        "dl",
        *(tag("div", tag("dt", tag("kbd", key)), tag("dd", words)) for key, words in keys),
        class_="keys",
    )


def term_list(terms: Words) -> Html:
    """What the words of the pages mean."""
    return tag(
        "dl", *(tag("div", tag("dt", term), tag("dd", words)) for term, words in terms), class_="terms"
    )


def _keys(site: Site) -> Html:
    close = tag("form", tag("button", "Close"), method="dialog")
    more = tag("p", tag("a", "What the terms mean", href="/help"))
    return tag("dialog", tag("h2", "Keys"), key_list(site.keys), more, close, id="keys", aria_label="Keys")


def help_page(site: Site, terms: Words, *more: Html) -> str:
    """Keys, terms, and where what is shown comes from."""
    return page(
        site,
        "Help",
        tag("h1", "Help"),
        tag(
            "section",
            tag("h2", "Keys"),
            key_list(site.keys),
            tag("p", "Keys need the page's script; every one of them is also a link."),
        ),
        tag("section", tag("h2", "Terms"), term_list(terms)),
        *more,
        kind="help",
    )


def document_cell(doc_id: str, source: str, split: str, href: str) -> Html:
    """The head of a document's row in a list: its source as a link to `href`, its id and its split."""
    name = tag("a", tag("bdi", clipped(source or doc_id, NAME)), href=href, data_row="")
    of = tag("span", split, class_="split")
    about = tag("span", tag("code", clipped(doc_id, 40)), " ", of, class_="about")
    return tag("th", name, about, scope="row")


def fact_list(facts: Iterable[tuple[str, str]]) -> Html:
    """Names and values of where something comes from."""
    rows = [
        tag("div", tag("dt", clipped(key, 80)), tag("dd", tag("code", clipped(value, NAME))))
        for key, value in facts
    ]
    return tag("dl", *rows, class_="terms")


def failure_page(site: Site, failure: Failure) -> str:
    """What went wrong, why, and where to go from here."""
    ways = drawing.dotted([tag("a", words, href=address) for words, address, _ in site.links])
    words = [
        tag("h1", failure.what),
        tag("p", _sentence(failure.cause)),
        tag("p", _sentence(failure.remedy)),
        tag("p", ways),
    ]
    return page(site, failure.what, *words, kind="failure")


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."
