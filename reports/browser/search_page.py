"""The search page: a question as a form, and its answers."""

from __future__ import annotations

import re
from dataclasses import replace

from data_contracts.documents import SPLITS
from reports.browser.library import LabelLibrary
from reports.browser.search import HITS, Found, Hit, search
from reports.html.markup import Html, clipped, join, tag
from reports.site import drawing, layout
from reports.site.address import FOUND_ORDERS, LISTS, SIGNS, Question, link

BEFORE, SHOWN = 90, 320  # characters of a hit before the match, and in all


def render(library: LabelLibrary, question: Question) -> str:
    """The page for a question; without one it only asks."""
    asked = bool(question.q or question.source or question.split or question.of_queries)
    answers = (
        _answers(search(library, question), question)
        if asked
        else [tag("p", "Give a text, a filter or an order.", class_="note")]
    )
    return layout.page(
        library.site, question.q or "Queries", _form(question), *answers, q=question.q, kind="search"
    )


def _form(question: Question) -> Html:
    splits = {"": "all splits", **{split: split for split in SPLITS}}
    moved = _number("moved", question.moved or None, "At least this BM25 rank", least=1)
    scores = [
        _number("low", question.low, "Lowest s_t, nats"),
        _number("high", question.high, "Highest s_t, nats"),
    ]
    distances = [
        _number("near", question.near or None, "Fewest chunks from the candidate to the query", least=1),
        _number("far", question.far or None, "Most chunks from the candidate to the query", least=1),
    ]
    fields = [
        ("List", _select("kind", LISTS, question.kind)),
        ("Text", tag("input", type="search", name="q", value=question.q, maxlength=200)),
        ("Source or id", tag("input", type="search", name="source", value=question.source, maxlength=200)),
        ("Split", _select("split", splits, question.split)),
        ("Sign of s_t", _select("sign", SIGNS, question.sign)),
        ("From BM25 rank", moved),
        ("Order", _select("order", FOUND_ORDERS, question.order)),
    ]
    labels = [tag("label", tag("span", words), control) for words, control in fields]
    labels[-1:-1] = [_range("s_t, nats, from and to", scores), _range("Distance, from and to", distances)]
    return tag(
        "form",
        tag("h1", "Search"),
        tag("div", *labels, tag("button", "Search"), class_="fields"),
        action="/search",
        class_="question",
    )


def _number(name: str, value: float | None, title: str, least: int | None = None) -> Html:
    return tag(
        "input",
        type="number",
        name=name,
        min=least,
        step="any" if least is None else None,
        value=None if value is None else str(value),
        placeholder="any",
        title=title,
        aria_label=title,
    )


def _range(words: str, controls: list[Html]) -> Html:
    return tag("div", tag("span", words), *controls, class_="range", role="group", aria_label=words)


def _select(name: str, choices: dict[str, str], chosen: str) -> Html:
    options = [
        tag("option", words, value=value, selected="" if value == chosen else None)
        for value, words in choices.items()
    ]
    return tag("select", *options, name=name)


def _answers(found: Found, question: Question) -> list[Html]:
    what = "pairs, each with its target" if question.kind else "queries, each with its target"
    if question.q:
        what = "pairs, each with its query" if question.kind else "chunks"
    first = "The first " if question.order and len(found.hits) == HITS else ""
    said = f"{first}{len(found.hits)} {what}" if found.hits else "Nothing found"
    if question.q:
        said += "; a text that goes over the end of a chunk is not found"
    cut = []
    if found.searched < found.shards:
        cut.append(f" {found.searched:,} of {found.shards:,} files were searched in {found.seconds:.1f} s. ")
    if found.rest:
        cut.append(tag("a", "Go on from here", href=found.rest.link(), data_key="n"))
    rows = [tag("li", _hit(hit, question)) for hit in found.hits]
    more = [tag("p", *cut, class_="cut")] if cut else []
    top = tag("p", said, ".", *cut, class_="note", role="status")
    top = join([top, *([_downloads(question)] if found.hits else [])])
    return [top, tag("ol", *rows, class_="hits"), *(more if len(rows) > 5 else [])]


def _downloads(question: Question) -> Html:
    """The ways to everything that answers, without the texts."""
    whole = replace(question, shard=0, row=0)
    ways = [
        tag("a", name, href=link("/download", format=kind, **whole.state()))
        for kind, name in (("csv", "CSV"), ("parquet", "Parquet"))
    ]
    words = "Download all that is like this, in the order of the corpus: "
    return tag("p", words, drawing.dotted(ways), class_="note")


def _hit(hit: Hit, question: Question) -> Html:
    about = [
        tag("bdi", clipped(hit.source or hit.doc_id, layout.NAME)),
        hit.split,
        f"chunk {hit.chunk}",
    ]
    figures = tag("b", "no query", class_="score u")
    if (shown := hit.shown(question.order)) is not None:
        figures = tag("b", drawing.score(shown), class_=f"score {drawing.step(shown)}")
        about += [
            f"BM25 rank {hit.best_rank}"
            if question.kind
            else f"best {drawing.score(hit.best)} at BM25 rank {hit.best_rank}",
            f"{hit.chunk - hit.candidate} chunks back" if hit.candidate is not None else "",
            *([] if question.kind else [f"BM25's first {drawing.score(hit.first)}"]),
        ]
    text = tag("span", *_marked(hit.text, question.q), class_="excerpt", dir="auto")
    return tag(
        "a",
        join([figures, tag("span", drawing.dotted(about), class_="about"), text]),
        href=link(f"/d/{hit.key}/{hit.chunk}", c=hit.candidate if question.kind else None),
        data_row="",
    )


def _marked(text: str, wanted: str) -> list[str]:
    """A part of `text` with `wanted` marked in it."""
    match = re.search(re.escape(wanted), text, re.IGNORECASE) if wanted else None
    begin, end = match.span() if match else (0, 0)
    start = max(0, begin - BEFORE)
    # at most one line before the one that matches: an excerpt shows only a few
    left = "\n".join(text[start:begin].split("\n")[-2:])
    parts = ["…" if len(left) < begin else "", left, *([tag("strong", text[begin:end])] if match else [])]
    return [*parts, clipped(text[end:], max(40, SHOWN - len(left) - (end - begin)))]
