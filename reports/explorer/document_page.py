"""A document as a strip of its chunks, coloured by gain or by loss, and the chunks worth looking at first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reports.browser.document_page import EXCERPT, LISTED, STRIP, strip_ways, titled, way
from reports.explorer.address import Look
from reports.explorer.comparison import Comparison, bar, comparison_of, name_of
from reports.explorer.document import Document
from reports.explorer.library import Library
from reports.explorer.site import site
from reports.html.formats import count, number
from reports.html.markup import Html, clipped, join, tag
from reports.site import drawing, layout

LOSS_STEPS = (0.1, 0.4, 1.0)  # nats a token below or above the document's mean


def render(library: Library, key: str, look: Look) -> str:
    """The page of a document; the chunk that the address names is marked in its strip.

    Raises:
        Missing: if it does not exist.
        Failure: (exit code 2) if a reading does not exist; (3) if it cannot be read.
    """
    compared, document = comparison_of(library, look), library.document(key)
    if look.c is not None and look.c < len(document.texts):
        look = replace(look, at=look.c // STRIP + 1)
    gain = document.gain(*compared)
    ways = tag("nav", *extremes(document, gain, look, None), class_="ways", aria_label="Chunks worth a look")
    return layout.page(
        site(library.name),
        document.facts.name,
        heading(library, document, look, compared),
        bar(library, look, f"/d/{key}", compared),
        _summary(document, compared),
        ways,
        _strip(document, gain, look, compared),
        _lists(document, gain, look, compared),
        kind="document",
    )


def heading(
    library: Library, document: Document, look: Look, compared: Comparison, chunk: int | None = None
) -> Html:
    """Which document this is, and the ways to its neighbours in the list; `chunk` on the page of one, with a
    link to where it stands.
    """
    of, key = document.facts, document.facts.key
    name = tag("bdi", clipped(of.name, layout.NAME))
    before, after = library.beside(key, library.listed(look, *compared))
    title = tag(
        "h1", name if chunk is None else tag("a", name, href=look.link(f"/d/{key}", c=chunk), data_key="d")
    )
    facts = drawing.dotted(
        [tag("code", clipped(of.doc_id, 80)), of.split, f"{count(len(document.texts))} chunks"]
    )
    return titled(title, facts, before and look.link(f"/d/{before}"), after and look.link(f"/d/{after}"))


def extremes(document: Document, gain: np.ndarray, look: Look, chunk: int | None) -> list[Html]:
    """The ways to the best and the worst chunk; from one of the first few, to the one after it."""
    known = np.flatnonzero(np.isfinite(gain))
    ordered = known[np.argsort(-gain[known], kind="stable")]
    made = []
    for words, key, few in (
        ("best chunk", "b", ordered[:LISTED].tolist()),
        ("worst chunk", "w", ordered[::-1][:LISTED].tolist()),
    ):
        at = (few.index(chunk) + 1) % len(few) if chunk in few else 0
        words = f"next {words}" if at else words
        made.append(way(words, look.link(f"/d/{document.facts.key}/{few[at]}") if few else None, key))
    return made


def _summary(document: Document, compared: Comparison) -> Html:
    """Both losses over the chunks that both were evaluated on."""
    gain = document.gain(*compared)
    both = np.isfinite(gain)
    if not both.any():
        return tag("p", "The two were evaluated on no chunk of this document together.", class_="note")
    tokens = document.tokens[compared.show][both].sum()
    means = [document.losses[reading][both].sum() / tokens for reading in compared]
    said = [
        name_of(compared.show),
        f" {number(means[0], 3)} nats a token, ",
        name_of(compared.against),
        f" {number(means[1], 3)}: gain ",
    ]
    verdict = tag(
        "b",
        number(means[1] - means[0], 3, signed=True),
        class_=f"score {drawing.step(float(gain[both].mean()))}",
    )
    rest = (
        f" over the targets of {count(both.sum())} chunks, {count((gain[both] > 0).sum())} of which are"
        " better"
    )
    return tag("p", *said, verdict, rest, class_="verdict")


def _strip(document: Document, gain: np.ndarray, look: Look, compared: Comparison) -> Html:
    path = f"/d/{document.facts.key}"
    page = min(look.at, -(-len(document.texts) // STRIP))
    begin, end = (page - 1) * STRIP, min(page * STRIP, len(document.texts))
    loss = document.losses.get(compared.show, np.full(len(gain), np.nan)) / np.maximum(
        document.tokens.get(compared.show, 1), 1
    )
    by_loss = look.colour == "loss"
    steps = LOSS_STEPS if by_loss else drawing.SCORE_STEPS
    mean = float(loss[np.isfinite(loss)].mean()) if np.isfinite(loss).any() else 0.0
    values = mean - loss if by_loss else gain
    ends = look.link(path).partition("?")
    cells = [
        tag(
            "a",
            href=f"{path}/{chunk}{ends[1]}{ends[2]}",
            class_=f"cell {drawing.step(float(values[chunk]), steps)}",
            title=(
                f"chunk {chunk}: gain {drawing.score(float(gain[chunk]))} nats, loss"
                f" {number(float(loss[chunk]), 3)} nats a token"
            ),
            tabindex=None if chunk == begin else -1,
            aria_current="true" if chunk == look.c else None,
        )
        for chunk in range(begin, end)
    ]
    words = (
        f"nats a token below the mean of {number(mean, 2)}" if by_loss else "gain on a chunk's target, nats"
    )
    other = tag(
        "a",
        f"by {'gain' if by_loss else 'loss'}",
        tag("kbd", "c"),
        href=look.link(path, colour="" if by_loss else "loss", c=look.c),
        data_key="c",
    )
    strip = tag("nav", *cells, class_="strip", aria_label=f"Chunks {begin} to {end - 1}")
    legend = drawing.legend(steps, words, unlabelled="not evaluated")
    return tag(
        "section",
        tag("h2", f"Chunks by {'loss' if by_loss else 'gain'} ", other),
        strip,
        legend,
        strip_ways(look, path, page, len(gain)),
    )


def _lists(document: Document, gain: np.ndarray, look: Look, compared: Comparison) -> Html:
    """Short lists of chunks: those with most to see, each under what makes it so."""
    known = np.flatnonzero(np.isfinite(gain))
    by_gain = known[np.argsort(-gain[known], kind="stable")]
    loss = document.losses.get(compared.show, np.full(len(gain), np.nan))
    evaluated = np.flatnonzero(np.isfinite(loss))
    hardest = evaluated[np.argsort(-loss[evaluated], kind="stable")]
    lists = (
        ("Gained most", by_gain[:LISTED]),
        ("Gained least", by_gain[::-1][:LISTED]),
        ("Highest loss", hardest[:LISTED]),
    )
    start = min(look.c or 0, len(document.texts) - 1)
    first = tag(
        "a",
        f"chunk {start}",
        tag("kbd", "j"),
        href=look.link(f"/d/{document.facts.key}/{start}"),
        data_key="j",
    )
    columns = [
        tag(
            "div",
            tag("h3", words),
            tag("ol", *(_chunk(document, int(chunk), gain, loss, look) for chunk in found)),
        )
        for words, found in lists
    ]
    return tag("section", tag("h2", "Targets ", first), tag("div", *columns, class_="columns"))


def _chunk(document: Document, chunk: int, gain: np.ndarray, loss: np.ndarray, look: Look) -> Html:
    figures = tag("b", drawing.score(float(gain[chunk])), class_=f"score {drawing.step(float(gain[chunk]))}")
    about = tag("span", f"chunk {chunk} · loss {number(float(loss[chunk]), 1)} nats", class_="about")
    excerpt = tag(
        "span", clipped(" ".join(document.texts[chunk + 1].split()), EXCERPT), class_="excerpt", dir="auto"
    )
    return tag(
        "li", tag("a", join([figures, about, excerpt]), href=look.link(f"/d/{document.facts.key}/{chunk}"))
    )
