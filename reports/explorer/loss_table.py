"""What every reading lost on one target, with the neighbours that it read."""

from __future__ import annotations

from data_contracts.evaluations import SETTINGS
from reports.browser.candidate_table import LEAST_TOP, NONE
from reports.explorer.address import Look
from reports.explorer.comparison import Comparison, name_of
from reports.explorer.run import ChunkResult, Reading, Results
from reports.html.formats import number
from reports.html.markup import Html, join, tag
from reports.site import drawing

HEADS = (
    ("reading", ""),
    ("neighbours read", ""),
    ("loss, nats", "n"),
    ("a token", "n wide"),
    ("gain", "n"),
    ("", ""),
)


def render(path: str, rows: Results, look: Look, compared: Comparison) -> Html:
    """A row a reading; gains are over what is compared with, on the same tokens."""
    base = rows.get(compared.against)
    gains = {
        reading: base.loss - row.loss if base and base is not row and base.tokens == row.tokens else None
        for reading, row in rows.items()
    }
    top = max([LEAST_TOP, *(abs(gain) for gain in gains.values() if gain is not None)])
    body = [_row(path, reading, row, gains[reading], top, look, compared) for reading, row in rows.items()]
    head = tag("tr", *(tag("th", words, scope="col", class_=kind or None) for words, kind in HEADS))
    title = tag("h2", "Loss of the target", tag("small", "gain over ", name_of(compared.against)))
    table = tag("table", tag("thead", head), tag("tbody", *body), class_="losses")
    return tag("section", title, tag("div", table, class_="scroll", tabindex="0"))


def _row(
    path: str,
    reading: Reading,
    row: ChunkResult,
    gain: float | None,
    top: float,
    look: Look,
    compared: Comparison,
) -> Html:
    show = tag(
        "a",
        name_of(reading),
        href=look.link(path, show=str(reading), c=look.c),
        title=SETTINGS[reading.setting],
    )
    read = [tag("a", str(j), href=look.link(path, c=j), title=f"chunk {j}") for j in row.retrieved]
    against = tag("a", "compare with", href=look.link(path, against=str(reading), c=look.c))
    here = {compared.against: "compared with", compared.show: "shown"}.get(reading)
    worth = [NONE] if gain is None else [drawing.bar(gain, top), tag("b", drawing.score(gain))]
    return tag(
        "tr",
        tag("th", show, scope="row"),
        tag("td", drawing.dotted(read) if read else NONE),
        tag("td", number(row.loss, 2), class_="n"),
        tag("td", number(row.loss / row.tokens, 3), class_="n wide"),
        tag("td", join(worth), class_="n value"),
        tag("td", tag("span", here, class_="split") if here else against),
        class_="chosen" if reading == compared.show else None,
    )
