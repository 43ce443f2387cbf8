"""The help of the label browser: keys, terms, and where the labels come from."""

from __future__ import annotations

from reports.browser.shelf import Shelf
from reports.browser.vocabulary import TERMS
from reports.html.markup import clipped, tag
from reports.site import shell


def render(shelf: Shelf) -> str:
    """The page."""
    origins = []
    for name, labels in zip(shelf.names, shelf.sets, strict=True):
        facts = [
            ("directory", str(labels.directory)),
            ("digest", labels.digest),
            *((str(k), str(v)) for k, v in labels.scorer.items()),
        ]
        origins += [tag("h3", tag("bdi", clipped(name, shell.NAME))), shell.fact_list(facts)]
    return shell.help_page(shelf.site, TERMS, tag("section", tag("h2", "Labels and their scorer"), *origins))
