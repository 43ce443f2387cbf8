"""Escaping by construction."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.html.markup import Html, clipped, join, table, tag, visible


def test_text_is_escaped_and_markup_is_kept():
    assert tag("p", "<b>", tag("i", "&")) == "<p>&lt;b&gt;<i>&amp;</i></p>"


def test_attributes_are_escaped_and_renamed():
    assert (
        tag("a", class_='"><script>', aria_label="a & b", href=None)
        == '<a class="&quot;&gt;&lt;script&gt;" aria-label="a &amp; b"></a>'
    )


def test_escaped_text_is_no_longer_markup_when_it_is_joined_with_text():
    assert not isinstance(tag("p", "x") + "<b>", Html)
    assert join([tag("p") + "<b>"]) == "&lt;p&gt;&lt;/p&gt;&lt;b&gt;"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\u202eabc", r"\u202eabc"),
        ("a\u2066b\u2069", r"a\u2066b\u2069"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("\x00\x1b[31m\r", r"\u0000\u001b[31m\u000d"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("\u2028\u2029\x85", r"\u2028\u2029\u0085"),
        ("soft\xadhyphen", r"soft\u00adhyphen"),
        ("\u3164\u2800", r"\u3164\u2800"),
        ("line\n\ttab é 日本 🙂 שלום", "line\n\ttab é 日本 🙂 שלום"),
    ],
)
def test_characters_that_cannot_be_seen_are_written_out(text, shown):
    assert visible(text) == shown


def test_no_character_of_a_hidden_category_is_left():
    everything = visible("".join(map(chr, range(sys.maxunicode + 1))))
    assert {unicodedata.category(character) for character in everything} & {
        "Cc",
        "Cf",
        "Cs",
        "Zl",
        "Zp",
        "Cn",
    } == {"Cc"}
    assert {character for character in everything if unicodedata.category(character) == "Cc"} == {"\n", "\t"}


def test_a_written_out_character_differs_from_a_backslash_in_the_text():
    assert tag("p", "\u202e" + r"\u202e") == r"<p><mark>\u202e</mark>\u202e</p>"


@pytest.mark.parametrize("element", ["text", "title"])
def test_elements_that_hold_text_only_get_no_mark(element):
    assert tag(element, "\u202e<") == rf"<{element}>\u202e&lt;</{element}>"


@given(st.text(st.characters(categories=None), max_size=80))
def test_any_text_comes_back_from_the_parser(parse, text):
    page = parse(tag("div", text))
    assert page.texts[0] == text
    assert {name for name, _ in page.elements} <= {"div", "mark"}
    tag("div", text, title=text).encode("utf-8")


@pytest.mark.parametrize(("text", "limit", "result"), [("abc", 3, "abc"), ("abcd", 3, "ab…")])
def test_clipped(text, limit, result):
    assert clipped(text, limit) == result


def test_a_long_table_is_cut_and_says_so(parse):
    page = parse(table(["a", "b"], [[str(row), "x"] for row in range(7)], limit=5))
    assert page.all_text("th") == ["a", "b", "0", "1", "2", "3", "4"]
    assert page.all_text("p") == ["2 more rows are not shown."]
