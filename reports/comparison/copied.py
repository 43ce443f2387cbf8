"""How much of what a whole corpus brings is copied from it: the part of a comparison on a system that reads
one.
"""

from __future__ import annotations

from data_contracts.evaluations import BASELINE, BY_CHANCE, OWN, WITHOUT
from reports.comparison.rows import Copied
from reports.comparison.tables import named
from reports.html.charts import Dot, Line, dot_chart, figure, line_chart
from reports.html.formats import count, number, percent
from reports.html.leakage_table import DIGITS, bounds, leakage_table
from reports.html.markup import Html
from reports.html.parts import few_documents, measured
from reports.html.plain_table import PlainTable
from reports.metrics.evaluation_rows import Key
from reports.metrics.leakage import Leakage, said

OF_COPIED = (
    "Copied is what stands in a passage word for word: the longest run of tokens that a predicted chunk has"
    " in common with any passage that was found for it or for the chunk before it (RETRO's measure, arXiv"
    " 2112.04426, section 2.6). What is gained where that is short was not copied. First chunks of documents"
    " have no passage and are left out."
)
SETTINGS = {OWN: "own passages", WITHOUT: "no passages", BY_CHANCE: "passages by chance"}
"""Settings of the system itself, which the title names."""
CURVE = (
    "Bits a byte of chunks whose longest common run is at most so many tokens, means over the runs of each"
    " system. Lower is better. The more the line of its own passages falls away from the others to the right,"
    " the more of the gain is copied."
)
GAINS = (
    "What its own passages are worth over passages by chance, in nats a token with 95 % intervals, by the"
    " tokens of a chunk's longest common run."
)


def table(found: Copied) -> PlainTable:
    """Losses and gains by overlap."""
    words = {said(key): _words(found, key) for key in found.columns}
    return leakage_table(found.rows, found.chunk_tokens, words)


def sentences(found: Copied) -> list[str]:
    """What is measured, and what it says of chunks with little overlap."""
    least, whole = (_row(found, "at_most", place) for place in (0, -1))
    gains = [
        f"{measured(least.gains[said(key)], DIGITS, signed=True)} over {_words(found, key)}"
        for key in found.columns[1:]
    ]
    little = (
        f"{count(least.chunks)} of {count(whole.chunks)} chunks ({percent(least.chunks / whole.chunks)}) have"
        f" at most {least.most} of {found.chunk_tokens} tokens in a row in common with a passage. There its"
        f" own passages gain, in nats a token: {'; '.join(gains)}."
        if whole.chunks
        else "No evaluated chunk has a passage."
    )
    return [OF_COPIED, little + few_documents([found.documents])]


def pictures(found: Copied) -> tuple[Html, ...]:
    """RETRO's curve, and the gain over passages by chance by overlap."""
    return (_curve(found), *([_gains(found)] if (found.system, BY_CHANCE) in found.columns else []))


def _curve(found: Copied) -> Html:
    rows = [row for row in found.rows if row.kind == "at_most"]
    lines = [
        Line(_short(found, key), [(row.most or 0, row.bits_per_byte[said(key)]) for row in rows], place)
        for place, key in enumerate(found.columns)
    ]
    head = ["at most", "chunks", *(line.name for line in lines)]
    body = [
        [count(row.most), count(row.chunks), *(number(one, DIGITS) for one in row.bits_per_byte.values())]
        for row in rows
    ]

    def draw(width: int) -> Html:
        return line_chart(
            lines,
            title="Bits a byte by the longest common run",
            x_label="longest common run",
            y_label="bits a byte",
            width=width,
        )

    return figure(draw, [CURVE], head, body)


def _gains(found: Copied) -> Html:
    rows = [row for row in found.rows if row.kind == "between"]
    over = said((found.system, BY_CHANCE))
    dots = [
        Dot(bounds(row), row.gains[over].value, row.gains[over].low, row.gains[over].high, 0, DIGITS)
        for row in rows
    ]
    body = [[bounds(row), count(row.chunks), measured(row.gains[over], DIGITS, signed=True)] for row in rows]

    def draw(width: int) -> Html:
        return dot_chart(
            dots,
            title="Gain over passages by chance, by the longest common run",
            x_label="nats a token",
            width=width,
            reference=0.0,
            signed=True,
        )

    return figure(draw, [GAINS], ["longest common run", "chunks", "gain, nats a token"], body)


def _row(found: Copied, kind: str, place: int) -> Leakage:
    return [row for row in found.rows if row.kind == kind][place]


def _words(found: Copied, key: Key) -> str:
    """A column in a table or a sentence."""
    return SETTINGS[key[1]] if key[0] == found.system else named(*key)


def _short(found: Copied, key: Key) -> str:
    """A column in the few letters that fit the end of a line."""
    known = key[0] in (found.system, BASELINE)
    return _words(found, key).removeprefix("passages ") if known else "control"
