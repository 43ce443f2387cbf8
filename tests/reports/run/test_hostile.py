"""No text of a report becomes an element, an attribute or an order of reading; what is shown is what was
given.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.html.markup import clipped
from reports.html.parts import NAME
from tests.hostile import HOSTILE, acting, check_each
from tests.reports.hostile import check_nothing_acts, shortened, with_every_text
from tests.reports.sample import render

# how many a chart has depends on the room its names leave
DRAWN = {"text", "line", "circle", "polyline", "polygon", "g", "rect"}


def structure(page):
    """The elements outside of charts in order, and all kinds of element with the names of their
    attributes.
    """
    kept = [(name, tuple(attributes)) for name, attributes in page.elements if name != "mark"]
    return [element for element in kept if element[0] not in DRAWN], set(kept)


@pytest.fixture(scope="module")
def short(shared_sample):
    return shortened(shared_sample)


@pytest.fixture(scope="module")
def expected(short, parse):
    return structure(parse(render(with_every_text(short, "harmless"))))


def test_the_short_report_has_every_kind_of_element(shared_sample, parse, expected):
    assert structure(parse(render(with_every_text(shared_sample, "harmless"))))[1] == expected[1]


def test_hostile_text_is_text(short, parse, expected):
    def check(text):
        html = render(with_every_text(short, text))
        page = parse(html)
        assert not page.unbalanced
        assert not page.open
        ordered, kinds = structure(page)
        assert ordered == expected[0]
        assert kinds <= expected[1]
        assert page.all_text("ul", "headline") == [text * 3]
        assert page.all_text("ul", "warnings") == [text * 2]
        assert set(page.all_text("bdi")) == {clipped(text, NAME)}
        check_nothing_acts(page, ("#", "../label_report/index.html"))
        assert not acting(html) - {"\t"}
        html.encode("utf-8")

    check_each(HOSTILE, check)


@settings(max_examples=15, deadline=None)
@given(text=st.text(st.characters(categories=None), min_size=1, max_size=60))
def test_any_text_is_text(shared_sample, parse, text):
    page = parse(render(with_every_text(shared_sample, text)))
    assert page.all_text("ul", "headline") == [text * 3]


def test_every_case_that_fails_is_named():
    def check(text):
        assert text != "\u202e", "it reorders"
        assert int(text) < 2

    check_each(["0", "1"], check)
    with pytest.raises(
        AssertionError,
        match=r"(?s)^3 of 5 cases failed.*'\\u202e': .*reorders.*'2': Assert.*'x': ValueError: .*'x'$",
    ):
        check_each(["0", "\u202e", "1", "2", "x"], check)
    with pytest.raises(AssertionError, match="0 of 0"):
        check_each([], check)
