"""The target coloured by what one reading gains on each of its tokens over another, and the figures behind
the colours.
"""

from __future__ import annotations

import numpy as np

from reports.explorer.comparison import Comparison, name_of
from reports.explorer.document import Document
from reports.explorer.library import Pieces
from reports.explorer.run import Results
from reports.html.formats import number
from reports.html.markup import Html, table, tag
from reports.site import drawing

LONGEST = 1024  # tokens of a chunk
SIGNS = str.maketrans({"\n": "⏎", "\t": "⇥"})  # so that a token of a table stays on its line


def token_gains(rows: Results, compared: Comparison) -> np.ndarray | None:
    """Nats by which `show` loses less than `against` on each counted token, or None where they did not count
    the same ones.
    """
    show, against = rows.get(compared.show), rows.get(compared.against)
    if show is None or against is None or show.tokens != against.tokens:
        return None
    return np.array(against.token_losses) - np.array(show.token_losses)


def pieces_of(document: Document, chunk: int, pieces: Pieces | None) -> list[str] | None:
    """The text of a chunk by token, or None if that cannot be told."""
    found = pieces(document.token_ids[chunk].to_numpy()) if pieces else None
    return found if found and "".join(found) == document.texts[chunk] else None


def render(text: str, pieces: list[str] | None, gains: np.ndarray | None) -> list[Html]:
    """The text of the target; with `gains`, a figure a token from its first on, in colour."""
    if gains is None:
        note = tag(
            "p", "The two did not count the same tokens here, so there is nothing to colour.", class_="note"
        )
        return [tag("div", text, class_="chunk", dir="auto"), note]
    if pieces is None:
        note = tag(
            "p", "Colours need the corpus's tokenizer; the table of tokens has the figures.", class_="note"
        )
        return [tag("div", text, class_="chunk", dir="auto"), note]
    spans = [
        tag(
            "span",
            piece,
            class_=drawing.step(float(gain), drawing.TOKEN_STEPS),
            title=drawing.score(float(gain), 3),
        )
        for piece, gain in zip(pieces, gains, strict=False)
    ]
    rest = [tag("span", piece) for piece in pieces[len(gains) :]]
    legend = drawing.legend(drawing.TOKEN_STEPS, "gain on a token, nats")
    return [tag("div", *spans, *rest, class_="chunk tokens", dir="auto"), legend]


def token_table(pieces: list[str] | None, rows: Results, compared: Comparison, gains: np.ndarray) -> Html:
    """Both losses of every counted token, and their difference."""
    texts = [tag("code", piece.translate(SIGNS)) for piece in pieces or []] + [Html("")] * len(gains)
    losses = zip(rows[compared.show].token_losses, rows[compared.against].token_losses, gains, strict=True)
    body = [
        [str(place), texts[place], number(ours, 3), number(theirs, 3), drawing.score(float(gain), 3)]
        for place, (ours, theirs, gain) in enumerate(losses)
    ]
    head = ["token", "text", name_of(compared.show), name_of(compared.against), "gain"]
    return tag(
        "details",
        tag("summary", "table of tokens, losses in nats"),
        table(head, body, numeric_from=2, limit=LONGEST),
        class_="figures",
    )
