"""The panel of who made the labels: every fact as text, and plain words where nobody knows."""

from reports.browser.library import LabelLibrary
from reports.browser.list_page import render
from reports.browser.made import Maker
from reports.browser.maker import UNKNOWN, panel
from reports.site.address import View
from tests.hostile import DISTINCT
from tests.reports.served_pages import check_page

MAKER = Maker(
    "scoring@demo",
    "2026-01-02 03:04 UTC",
    50.0,
    "0123456789ab",
    {"jax": "0.9"},
    "Linux, 2 cores of a kind, 8 GiB",
    "3/3 shards, 0.5/s",
    {"scoring.candidates": "12"},
)


def shown(parse, label_set, made):
    page = parse(render(LabelLibrary([label_set], ["demo"], [None], lambda: made), View()))
    check_page(page)
    return page


def test_the_list_of_documents_has_the_panel(parse, label_set):
    (text,) = shown(parse, label_set, panel(["demo"], [MAKER], [10_000.0])).all_text("details", "made")
    for fact in ("0123456789ab", "versionsjax 0.9", "scoring.candidates12", "made2026-01-02 03:04 UTC"):
        assert fact in text, fact
    assert "tokens a second200 over the whole stage" in text


def test_what_is_noted_later_is_on_the_next_page(parse, label_set):
    makers = [None]
    library = LabelLibrary([label_set], ["demo"], [None], lambda: panel(["demo"], makers, [None]))
    assert UNKNOWN in parse(render(library, View())).all_text("details", "made")[0]
    makers[0] = MAKER
    assert "0123456789ab" in parse(render(library, View())).all_text("details", "made")[0]


def test_without_a_cost_no_speed_is_made_up(parse, label_set):
    (text,) = shown(parse, label_set, panel(["demo"], [MAKER], [None])).all_text("details", "made")
    assert "tokens a second" not in text


def test_labels_of_nobody_say_so_beside_others(parse, label_set):
    page = shown(parse, label_set, panel(["a", "b"], [MAKER, None], [None, None]))
    assert UNKNOWN in page.all_text("details", "made")[0]
    assert page.all_text("h3")[-2:] == ["a", "b"]


def test_hostile_facts_are_text(parse, label_set):
    for text in DISTINCT:
        maker = Maker(text, text, 1.0, text, {text: text}, text, text, {text: text})
        shown(parse, label_set, panel([text], [maker], [None]))
