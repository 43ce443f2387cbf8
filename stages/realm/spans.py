"""Sentences and salient spans of a text, by rule: dates, numbers with their units, and capitalised names
inside a sentence.

REALM masks named entities, found by a BERT tagger, and dates, found by a regular expression (arXiv
2002.08909, section 3.4). Here all of it is rules, which need no model: a name is a run of capitalised words
that does not begin its sentence or a quotation. The rules know English.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

MONTH = "(?:January|February|March|April|May|June|July|August|September|October|November|December)"
DAY = r"\d{1,2}(?:st|nd|rd|th)?"
DATE = (
    rf"{MONTH}\s+{DAY}(?:,?\s+\d{{4}})?|{DAY}\s+(?:of\s+)?{MONTH}(?:,?\s+\d{{4}})?"
    rf"|{MONTH},?\s+\d{{4}}|1[0-9]{{3}}|20[0-9]{{2}}"
)
TENS = "(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
ONES = (
    "(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty"
    "|hundred|thousand)"
)
UNIT = (
    "(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|inches|feet|yards?|miles?|leagues?|fathoms?|acres?|ounces|pounds?|tons?|"
    "shillings?|guineas?|dollars?|francs?|cents|degrees|per\\s+cent)"
)
NUMBER = rf"\$\d[\d,]*|(?:\d[\d,.]*|{TENS}-{ONES}|(?:{ONES}\s+)?{ONES})\s+{UNIT}"
TITLE = r"(?:(?:Mr|Mrs|Ms|Dr|St|Sir|Lady|Miss|Captain|Lord|Aunt|Uncle)\.?\s+)?"
NAME = rf"(?<=[a-z,;]\s){TITLE}[A-Z][a-z]+(?:[-\s][A-Z][a-z]+)*"
SPANS = {
    "date": re.compile(rf"\b(?:{DATE})\b"),
    "number": re.compile(rf"(?<!\w)(?:{NUMBER})\b"),
    "name": re.compile(NAME),
}
END = re.compile(r"(?:[.!?][\"'\u201d\u2019)]*|:)\s+(?=[\"'\u201c\u2018(]?[A-Z])|\n\s*\n")
ABBREVIATION = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|St|No|vol)|\b[A-Z])\.\s*$")
SHORTEST_WORDS = 6


class Span(NamedTuple):
    """Characters `begin` to `end` (exclusive) of a text, and the rule that found them."""

    begin: int
    end: int
    kind: str


def sentences(text: str) -> list[tuple[int, int]]:
    """(begin, end) of every sentence of a document, with the white space after it; one of fewer than six
    words is none.
    """
    ends = [
        match.end()
        for match in END.finditer(text)
        if not ABBREVIATION.search(text, max(0, match.start() - 4), match.end())
    ]
    bounds = pairwise([0, *ends, len(text)])
    return [(begin, end) for begin, end in bounds if len(text[begin:end].split()) >= SHORTEST_WORDS]


def salient_spans(sentence: str) -> list[Span]:
    """The spans of a sentence in the order of the text; of two that overlap the first rule wins, in the order
    of SPANS.
    """
    found: list[Span] = []
    for kind, pattern in SPANS.items():
        for match in pattern.finditer(sentence):
            if all(match.end() <= other.begin or match.start() >= other.end for other in found):
                found.append(Span(match.start(), match.end(), kind))
    return sorted(found)
