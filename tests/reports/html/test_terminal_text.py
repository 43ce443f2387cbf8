"""Hostile text for a terminal: nothing acts, and what was there can be read back."""

from hypothesis import given
from hypothesis import strategies as st

from reports.html.terminal_text import COMBINING, shown
from tests.hostile import HOSTILE, acting, check_each, read_back

ANY = st.text(
    st.one_of(
        st.characters(categories=None), st.sampled_from("\\uU0123456789abcdef\t\n\u21e5\u23ce\u0301\x1b")
    ),
    max_size=60,
)


def test_there_are_enough_hostile_texts_and_each_is_another():
    assert len(HOSTILE) == len(set(HOSTILE)) >= 150


def check(text):
    """Nothing acts, and the text can be read back."""
    for one_line in (False, True):
        output = shown(text, one_line=one_line)
        assert not acting(output)
        assert read_back(output) == text
        assert not (one_line and "\n" in output)


def test_hostile_text_can_be_read_back():
    check_each(HOSTILE, check)


@given(ANY)
def test_any_text_can_be_read_back(text):
    check(text)


def test_ordinary_text_is_left_alone():
    text = "def f(x):\n    return x  # naïve, שלום, 漢字, 👍, tiếng Việt, किताब, \\n and \\u12"
    assert shown(text) == text


def test_signs_of_every_kind():
    assert shown("a\tb\nc", one_line=True) == "a⇥b⏎c"
    assert shown("\x1b[31m \u202e \U000e0041") == "\\u001b[31m \\u202e \\U000e0041"
    assert shown(r"\u202e") == r"\u005cu202e"
    assert shown("e" + "\u0301" * (COMBINING + 2)) == "e" + "\u0301" * COMBINING + "\\u0301\\u0301"
