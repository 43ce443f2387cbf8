"""No text of a report becomes an element, an attribute or an order of reading; what is shown is what was given."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.markup import clipped
from reports.page import render
from reports.results import NAME

DRAWN = {"text", "line", "circle", "polyline", "polygon", "g", "rect"}  # how many a chart has depends on the room its names leave


def structure(page):
    """The elements outside of charts in order, and all kinds of element with the names of their attributes."""
    kept = [(name, tuple(attributes)) for name, attributes in page.elements if name != "mark"]
    return [element for element in kept if element[0] not in DRAWN], set(kept)


@pytest.fixture(scope="module")
def expected(shared_sample, parse, with_every_text):
    return structure(parse(render(with_every_text(shared_sample, "harmless"))))


def test_hostile_text_is_text(sample, parse, with_every_text, expected, hostile_text):
    html = render(with_every_text(sample, hostile_text))
    page = parse(html)
    assert not page.unbalanced
    assert not page.open
    ordered, kinds = structure(page)
    assert ordered == expected[0]
    assert kinds <= expected[1]
    assert page.all_text("ul", "headline") == [hostile_text * 3]
    assert page.all_text("ul", "warnings") == [hostile_text * 2]
    assert set(page.all_text("bdi")) == {clipped(hostile_text, NAME)}
    html.encode("utf-8")


def test_attributes_hold_nothing_that_acts(sample, parse, with_every_text, hostile_text):
    for name, attributes in parse(render(with_every_text(sample, hostile_text))).elements:
        assert name not in {"script", "img", "iframe", "object", "embed", "link", "base", "form", "image", "use", "foreignobject"}
        assert not {"src", "srcset", "style", "action", "xlink:href", "data"} & set(attributes)
        assert not [attribute for attribute in attributes if attribute.startswith("on")]
        assert (attributes.get("href") or "#").startswith(("#", "../label_report/index.html"))


def test_no_character_that_hides_or_reorders_is_left(sample, with_every_text, hostile_text):
    html = render(with_every_text(sample, hostile_text))
    assert not set(html) & set("\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\ufeff\u00ad\u061c")
    assert not set(html) & set("\u2066\u2067\u2068\u2069")
    assert not {character for character in html if character < " "} - {"\n", "\t"}


@settings(max_examples=15, deadline=None)
@given(text=st.text(st.characters(categories=None), min_size=1, max_size=60))
def test_any_text_is_text(shared_sample, parse, with_every_text, text):
    page = parse(render(with_every_text(shared_sample, text)))
    assert page.all_text("ul", "headline") == [text * 3]
