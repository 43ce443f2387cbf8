"""The words of the label browser: its bar, its keys, and what its terms mean."""

from __future__ import annotations

from collections.abc import Sequence

from reports.site.address import link
from reports.site.layout import Site

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
    (
        "candidate",
        (
            "An earlier chunk that BM25 proposes for the query, with its continuation, the chunk that"
            " follows it."
        ),
    ),
    (
        "s_t",
        (
            "How much more likely, in nats summed over the target, the reference LM finds the target after"
            " the candidate, its continuation and the query than after the two chunks that precede the query."
            " Positive: the candidate helps."
        ),
    ),
    ("pair", "A query with one of its candidates; a list of queries shows the best candidate of each."),
    ("BM25 rank", "Place of the candidate when BM25 alone orders them, from 0 as in the column `rank`."),
    ("vs BM25", "How many places s_t moves the candidate up (▲) or down (▼) from its BM25 rank."),
    ("distance", "Chunks from the candidate to the query."),
    ("gain of a token", "Its part of s_t. The gains of a target's tokens add up to s_t."),
)


def label_site(names: Sequence[str]) -> Site:
    """What is around the pages about label sets of these names."""
    compare = (("Compare", "/compare", None),) if len(names) > 1 else ()
    links = (
        ("Documents", "/", "h"),
        ("Queries", link("/search", order="best"), None),
        *compare,
        ("Help", "/help", "?"),
    )
    return Site(" ⇄ ".join(names), links, KEYS, searches=True)
