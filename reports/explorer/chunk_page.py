"""A chunk over its target, coloured by what is gained on each token, beside one neighbour; what every reading
lost; all neighbours.
"""

from __future__ import annotations

import numpy as np

from reports.browser.document_page import way
from reports.browser.query_page import panel
from reports.explorer import loss_table, neighbour_table, target
from reports.explorer.address import Look
from reports.explorer.comparison import Comparison, bar, comparison_of
from reports.explorer.document import Document
from reports.explorer.document_page import extremes, heading
from reports.explorer.library import Library
from reports.explorer.neighbours import Neighbour, neighbours
from reports.explorer.run import Results
from reports.explorer.site import site
from reports.html.formats import number
from reports.html.markup import Html, join, tag
from reports.site import drawing, layout
from reports.site.address import Missing

UNSCORED = "pointer"  # the class of the ink


def render(library: Library, key: str, chunk: int, look: Look) -> str:
    """The page of one chunk; one whose target was not evaluated has its text alone.

    Raises:
        Missing: if the document or the chunk does not exist.
        Failure: (exit code 2) if a reading does not exist; (3) if an artifact cannot be read.
    """
    compared, document = comparison_of(library, look), library.document(key)
    if chunk >= len(document.texts):
        cause = f"{document.facts.doc_id!r} has chunks 0 to {len(document.texts) - 1}"
        raise Missing(f"chunk {chunk}", cause, "choose one in the document's strip")
    path, rows = f"/d/{key}/{chunk}", library.rows(document.facts.doc_id, chunk)
    found = neighbours(document, chunk, rows, compared.show.run, look.by)
    chosen = next((one for one in found if one.chunk == look.c), found[0] if found else None)
    gain = document.gain(*compared)
    content = [
        heading(library, document, look, compared, chunk),
        _ways(document, chunk, gain, look),
        bar(library, look, path, compared),
        _map(document, chunk, gain, found, chosen, look),
        _texts(library, document, chunk, chosen, rows, compared),
    ]
    if rows:
        content.append(loss_table.render(path, rows, look, compared))
    if chosen:
        content.append(neighbour_table.render(document, chunk, compared.show.run, found, chosen, look))
    elif rows:
        could = any(row.eligible for row in rows.values())
        why = (
            "Nothing was retrieved for this chunk."
            if could
            else "Nothing could be retrieved for this chunk: too little lies before it."
        )
        content.append(tag("p", why, class_="note"))
    source = document.facts.name
    return layout.page(site(library.name), f"{chunk} · {source}", *content, kind="query")


def _ways(document: Document, chunk: int, gain: np.ndarray, look: Look) -> Html:
    path, last = f"/d/{document.facts.key}", len(document.texts) - 1
    backward = way("← previous chunk", look.link(f"{path}/{chunk - 1}") if chunk else None, "k")
    forward = way("next chunk →", look.link(f"{path}/{chunk + 1}") if chunk < last else None, "j")
    title = tag("h2", f"Chunk {chunk:,} of {len(document.texts):,}")
    return tag(
        "nav",
        title,
        backward,
        forward,
        *extremes(document, gain, look, chunk),
        class_="ways",
        aria_label="Chunks",
    )


def _map(
    document: Document,
    chunk: int,
    gain: np.ndarray,
    found: list[Neighbour],
    chosen: Neighbour | None,
    look: Look,
) -> Html:
    firsts = drawing.columns(len(document.texts))[:-1]
    links = [look.link(f"/d/{document.facts.key}/{first}") for first in firsts]
    marks = [
        (one.chunk, drawing.step(one.s_t) if one.s_t is not None else UNSCORED) for one in found if one.taken
    ]
    marked = "neighbours that somebody takes, coloured by s_t where that is known"
    return drawing.document_map(
        gain, links, marks, chosen.chunk if chosen else None, chunk, marked, lambda known: float(known.mean())
    )


def _texts(
    library: Library,
    document: Document,
    chunk: int,
    chosen: Neighbour | None,
    rows: Results,
    compared: Comparison,
) -> Html:
    """The chunk and its target, and, where there is one, the chosen neighbour and its continuation beside
    them.
    """
    panels, behind = [panel("Query", document.texts, chunk)], list[Html]()
    if rows:
        gains, pieces = (
            target.token_gains(rows, compared),
            target.pieces_of(document, chunk + 1, library.pieces),
        )
        body = join(target.render(document.texts[chunk + 1], pieces, gains))
        panels.append(panel("Target", document.texts, chunk + 1, *_verdict(rows, compared), body=body))
        behind += [] if gains is None else [target.token_table(pieces, rows, compared, gains)]
    else:
        why = (
            "What follows this chunk was not evaluated."
            if chunk + 1 < len(document.texts)
            else "This is the last chunk: nothing follows it."
        )
        panels.append(tag("p", why, class_="note"))
    if chosen:
        panels.append(
            panel(
                "Neighbour", document.texts, chosen.chunk, tag("span", _about(chosen, chunk), class_="about")
            )
        )
        panels.append(panel("Continuation", document.texts, chosen.chunk + 1))
    return tag("div", tag("div", *panels, class_="pair"), *behind, class_="texts")


def _verdict(rows: Results, compared: Comparison) -> list[Html]:
    if compared.show not in rows or compared.against not in rows:
        return []
    ours, theirs = rows[compared.show], rows[compared.against]
    gain = tag(
        "b", drawing.score(theirs.loss - ours.loss), class_=f"score {drawing.step(theirs.loss - ours.loss)}"
    )
    said = f" nats: {number(ours.loss, 2)} instead of {number(theirs.loss, 2)} over {ours.tokens} tokens"
    return [tag("span", gain, said, class_="about")] if ours.tokens == theirs.tokens else []


def _about(one: Neighbour, chunk: int) -> Html:
    """A neighbour in a line."""
    facts: list[str] = [f"{chunk - one.chunk} chunks back", neighbour_table.takers(one)]
    if one.score is not None:
        facts.append(f"rank {one.rank}, score {number(one.score, 2)}")
    if one.gate is not None:
        facts.append(f"gate {number(one.gate, 2)}")
    if one.s_t is not None:
        facts.append(
            join(["s_t ", tag("b", drawing.score(one.s_t), class_=f"score {drawing.step(one.s_t)}")])
        )
    return drawing.dotted(facts)
