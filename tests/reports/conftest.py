"""The sample report, loaded by path because tests are not a package, and a parser that sees a page as a browser's parser would."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from copy import deepcopy
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

VOID = {"meta", "br", "link", "input"}


class Page(HTMLParser):
    """Elements in order, and the text of every element with written-out characters turned back into what they stand for."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[int] = []
        self.unbalanced: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")
        if tag not in VOID:
            self.open.append(len(self.elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.elements[self.open.pop()][0] != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.elements[self.open[-1]][0] == "mark" and (code := re.fullmatch(r"\\(?:u(....)|U(.{8}))", data)):
            data = chr(int(code[1] or code[2], 16))
        for index in self.open:
            self.texts[index] += data

    def all_text(self, tag: str, css_class: str | None = None) -> list[str]:
        """The texts of the elements with this name and class, in order."""
        found = zip(self.elements, self.texts, strict=True)
        return [text for (name, attributes), text in found if name == tag and css_class in (None, attributes.get("class"))]


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"reports_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sample() -> dict[str, Any]:
    """A fresh made-up report."""
    return _load("sample").sample_report()


@pytest.fixture(scope="session")
def shared_sample() -> dict[str, Any]:
    """A made-up report that tests do not change."""
    return _load("sample").sample_report()


@pytest.fixture(scope="session")
def evaluations_sample() -> ModuleType:
    """The module that makes evaluations with their labels, candidates and chunks."""
    return _load("evaluations_sample")


@pytest.fixture(scope="session")
def made_up(evaluations_sample) -> Any:
    """Evaluations of five systems that tests do not change."""
    return evaluations_sample.made_up()


@pytest.fixture(scope="session")
def label_sample() -> ModuleType:
    """The module that makes label sets and supervision reports."""
    return _load("label_sample")


@pytest.fixture(scope="session")
def label_set(label_sample, tmp_path_factory) -> Any:
    """A made-up label set that tests do not change."""
    return label_sample.made_up_set(tmp_path_factory.mktemp("labels"))


@pytest.fixture(scope="session")
def shared_label_report(label_sample, label_set) -> dict[str, Any]:
    """A made-up supervision report that tests do not change."""
    return label_sample.label_report(label_set)


@pytest.fixture
def label_report(shared_label_report) -> dict[str, Any]:
    """A fresh made-up supervision report."""
    return deepcopy(shared_label_report)


@pytest.fixture(scope="session")
def with_every_text() -> Callable[[dict[str, Any], str], dict[str, Any]]:
    """The function of that name in hostile.py."""
    return _load("hostile").with_every_text


@pytest.fixture(scope="session")
def hostile_texts() -> list[str]:
    """All of them."""
    return _load("hostile").HOSTILE


@pytest.fixture(scope="session")
def parse() -> Callable[[str], Page]:
    """Turns HTML into a `Page`."""
    return Page


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `hostile_text` runs once for each of them."""
    if "hostile_text" in metafunc.fixturenames:
        metafunc.parametrize("hostile_text", _load("hostile").HOSTILE)
