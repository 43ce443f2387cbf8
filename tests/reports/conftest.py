"""Made-up reports, label sets and corpora that tests do not change, a parser that sees a page as a browser's
would, and a Chromium.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cached_property
from html import unescape
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks import _chromium
from benchmarks._label_sets import make_label_set
from benchmarks._served import served, serving
from flows.commands.explorer import _pieces, explore
from reports.explorer.library import Library
from reports.labels.label_set import LabelSet, open_label_set
from tests.reports import evaluations_sample as evaluations
from tests.reports import label_sample as labels
from tests.reports.explorer.evaluated import evaluated_modules
from tests.reports.sample import sample_report

pytest.register_assert_rewrite("tests.reports.served_pages")
VOID = {"meta", "br", "link", "input"}
TOKEN = re.compile(
    r"""([^<]+)|<(/?)([a-zA-Z][a-zA-Z0-9]*)((?: [a-zA-Z0-9-]+="[^"]*")*)>|<!(?i:doctype) html>"""
)
ATTRIBUTE = re.compile(r' ([a-zA-Z0-9-]+)="([^"]*)"')


class Page:
    """Elements in order, and the text of every element with written-out characters turned back into what they
    stand for.

    Only the plainest markup is read, which no two parsers read differently: text, elements with quoted
    attributes, and the doctype.

    Raises:
        AssertionError: at anything else.
    """

    def __init__(self, html: str) -> None:
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[int] = []
        self.unbalanced: list[str] = []
        self._pieces: list[str] = []
        self._bounds: list[tuple[int, int | None]] = []  # of the pieces in each element
        end = 0
        for token in TOKEN.finditer(html):
            assert token.start() == end, f"no plain markup: {html[end : end + 80]!r}"
            end = token.end()
            text, closing, name, attributes = token.groups()
            if text:
                self._text_comes(unescape(text))
            elif name and closing:
                self._element_ends(name.lower())
            elif name:
                self._element_begins(name.lower(), attributes)
        assert end == len(html), f"no plain markup: {html[end : end + 80]!r}"

    def _element_begins(self, name: str, attributes: str) -> None:
        at = len(self._pieces)
        if name not in VOID:
            self.open.append(len(self.elements))
        self._bounds.append((at, at if name in VOID else None))
        self.elements.append(
            (name, {key.lower(): unescape(value) for key, value in ATTRIBUTE.findall(attributes)})
        )

    def _element_ends(self, name: str) -> None:
        element = self.open.pop() if self.open else None
        if element is not None:
            self._bounds[element] = (self._bounds[element][0], len(self._pieces))
        if element is None or self.elements[element][0] != name:
            self.unbalanced.append(name)

    def _text_comes(self, text: str) -> None:
        if (
            self.open
            and self.elements[self.open[-1]][0] == "mark"
            and (code := re.fullmatch(r"\\(?:u(....)|U(.{8}))", text))
        ):
            text = chr(int(code[1] or code[2], 16))
        self._pieces.append(text)

    def _text(self, element: int) -> str:
        begin, end = self._bounds[element]
        return "".join(self._pieces[begin:end])

    @cached_property
    def texts(self) -> list[str]:
        """The text of every element, in order."""
        return [self._text(element) for element in range(len(self.elements))]

    def all_text(self, tag: str, css_class: str | None = None) -> list[str]:
        """The texts of the elements with this name and class, in order."""
        return [
            self._text(element)
            for element, (name, attributes) in enumerate(self.elements)
            if name == tag and css_class in (None, attributes.get("class"))
        ]


@pytest.fixture(scope="session")
def parse() -> Callable[[str], Page]:
    """Turns HTML into a `Page`."""
    return Page


@pytest.fixture
def sample() -> dict[str, Any]:
    """A fresh made-up report."""
    return sample_report()


@pytest.fixture(scope="session")
def shared_sample() -> dict[str, Any]:
    """A made-up report that tests do not change."""
    return sample_report()


@pytest.fixture(scope="session")
def evaluations_sample() -> ModuleType:
    """The module that makes evaluations with their labels, candidates and chunks."""
    return evaluations


@pytest.fixture(scope="session")
def made_up() -> evaluations.Sample:
    """Evaluations of five systems that tests do not change."""
    return evaluations.made_up()


@pytest.fixture(scope="session")
def label_sample() -> ModuleType:
    """The module that makes label sets and supervision reports."""
    return labels


@pytest.fixture(scope="session")
def label_set(tmp_path_factory) -> Any:
    """A made-up label set that tests do not change."""
    return labels.made_up_set(tmp_path_factory.mktemp("labels"))


@pytest.fixture(scope="session")
def shared_label_report(label_set) -> dict[str, Any]:
    """A made-up supervision report that tests do not change."""
    return labels.label_report(label_set)


@pytest.fixture
def label_report(shared_label_report) -> dict[str, Any]:
    """A fresh made-up supervision report."""
    return deepcopy(shared_label_report)


@pytest.fixture(scope="session")
def browsed(tmp_path_factory) -> Path:
    """Labels of 7 documents of 60 chunks in 3 shards."""
    home = tmp_path_factory.mktemp("browsed")
    make_label_set(home, documents=7, chunks=60, candidates=12, shards=3)
    return home


@pytest.fixture(scope="session")
def browsed_set(browsed) -> LabelSet:
    """Those labels, opened."""
    return open_label_set(browsed / "labels", browsed / "cache")


@pytest.fixture(scope="session")
def explored(tmp_path_factory) -> Path:
    """An evaluated corpus of four documents: Transformer-XL, RETRO and RPT-Sem, which has an oracle."""
    return evaluated_modules(tmp_path_factory.mktemp("explored") / "stdlib")


@pytest.fixture(scope="session")
def explored_library(explored) -> Library:
    """That corpus, opened."""
    return Library(explored, explored / "index", _pieces(explored / "tokenizer" / "tokenizer.json"))


@pytest.fixture(scope="session")
def browsed_address(browsed) -> Iterator[str]:
    """Where a process serves the pages of the label browser."""
    with served([browsed / "labels"], browsed / "cache") as address:
        yield address


@pytest.fixture(scope="session")
def explored_address(explored) -> Iterator[str]:
    """Where a process serves the pages of the retrieval explorer."""
    with serving(explore, str(explored), explored / "index") as address:
        yield address


@pytest.fixture(scope="session")
def tab() -> Iterator[_chromium.Page]:
    """The tab of a Chromium."""
    with _chromium.chromium() as tab:
        yield tab


@pytest.fixture
def page(tab) -> _chromium.Page:
    """The tab as it is at first, with nothing noted of earlier tests."""
    tab.look(1280, 800)
    for noted in (tab.requests, tab.dialogs, tab.problems):
        noted.clear()
    return tab
