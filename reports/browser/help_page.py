"""The help of the label browser: keys, terms, and where the labels come from."""

from __future__ import annotations

from reports.browser.library import LabelLibrary
from reports.browser.vocabulary import TERMS
from reports.html.markup import clipped, tag
from reports.site import layout


def render(library: LabelLibrary) -> str:
    """The page."""
    origins = []
    for name, labels in zip(library.names, library.sets, strict=True):
        facts = [
            ("directory", str(labels.directory)),
            ("digest", labels.digest),
            *((str(k), str(v)) for k, v in labels.scorer.items()),
        ]
        origins += [tag("h3", tag("bdi", clipped(name, layout.NAME))), layout.fact_list(facts)]
    return layout.help_page(
        library.site, TERMS, tag("section", tag("h2", "Labels and their scorer"), *origins)
    )
