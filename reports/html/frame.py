"""What every page has: a head that forbids scripts and the network, red warnings, and links to its
sections.
"""

from __future__ import annotations

from collections.abc import Sequence

from reports.html.markup import Html, clipped, join, tag
from reports.html.style import CSS

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
SENTENCE = 600
WARNINGS = 50


def document(title: str, css: str, body: Html) -> str:
    """A whole document: nothing outside of it is needed or loaded, and no script runs."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(css)),
    )
    return str(join([Html("<!doctype html>\n"), tag("html", head, body, lang="en"), Html("\n")]))


def page(title: str, header: Sequence[Html], sections: Sequence[Html]) -> str:
    """A whole page in the style of all reports."""
    return document(title, CSS, tag("body", tag("header", *header), tag("main", *sections)))


def warning_list(warnings: Sequence[str]) -> list[Html]:
    """The warnings in red, or nothing if there are none."""
    lines = [tag("li", clipped(warning, SENTENCE)) for warning in warnings[:WARNINGS]]
    if len(warnings) > WARNINGS:
        lines.append(tag("li", f"{len(warnings) - WARNINGS:,} more warnings are not shown."))
    return [tag("ul", *lines, class_="warnings", role="note", aria_label="Warnings")] if lines else []


def contents(links: Sequence[tuple[str, str]]) -> Html:
    """Links to the sections with these anchors."""
    return tag("nav", *(tag("a", words, href=f"#{anchor}") for anchor, words in links), aria_label="Contents")
