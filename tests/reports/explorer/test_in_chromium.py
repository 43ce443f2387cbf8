"""The real pages in a real browser: keys, sizes and colours, and hostile text that stays text."""

from __future__ import annotations

import re

import numpy as np
import pytest

from benchmarks._served import serving
from flows.commands.explorer import explore
from reports.explorer.run import Reading
from reports.html.markup import clipped
from reports.site.address import key_of
from tests.hostile import DISTINCT
from tests.reports.served_pages import where

OURS, THEIRS = Reading("a-rpt_sem"), Reading("a-transformer_xl")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(explored_address):
    return explored_address


def test_the_keyboard_reaches_everything(page, address, library):
    keys = library.documents["key"]
    gain = library.document(keys[0]).gain(OURS, THEIRS)
    order = np.argsort(-gain[:-1], kind="stable")
    path = f"/d/{keys[0]}"
    page.open(f"{address}/")
    page.press("j", loads=False)
    page.press("Enter")
    assert where(page) == path
    for key, expected in (
        ("b", f"{path}/{order[0]}"),
        ("b", f"{path}/{order[1]}"),
        ("w", f"{path}/{order[-1]}"),
        ("w", f"{path}/{order[-2]}"),
        ("d", f"{path}?c={order[-2]}"),
        ("c", f"{path}?colour=loss&c={order[-2]}"),
        ("c", f"{path}?c={order[-2]}"),
        ("j", f"{path}/{order[-2]}"),
        ("k", f"{path}/{order[-2] - 1}"),
        ("n", f"/d/{keys[1]}"),
        ("p", path),
        ("j", f"{path}/0"),
        ("h", "/"),
    ):
        page.press(key)
        assert where(page) == expected, key
    page.press("/", loads=False)
    for letter in "argparse":
        page.press(letter, loads=False)
    page.press("Enter")
    assert page.evaluate("document.querySelectorAll('.documents tbody tr').length") == 1
    assert page.problems == []


def test_keys_choose_readings_and_neighbours(page, address, library):
    path = f"/d/{library.documents['key'][0]}/40"
    page.open(address + path)
    painted = "[...document.querySelectorAll('.tokens span')].map(token => token.className + token.title)"
    before = page.evaluate(painted)
    assert len(before) == 64
    page.press("a")
    assert where(page) == f"{path}?show=a-rpt_sem&against=a-rpt_sem%3Anone"
    assert page.evaluate(painted) != before
    page.press("e")
    assert where(page) == f"{path}?show=a-rpt_sem%3Anone&against=a-rpt_sem%3Anone"
    page.press("s")
    assert where(page) == f"{path}?show=a-transformer_xl&against=a-rpt_sem%3Anone"
    page.press("x")
    assert where(page) == f"{path}?show=a-rpt_sem%3Anone&against=a-transformer_xl"
    page.press("3")
    assert re.search(r"&c=\d+$", where(page))
    assert page.evaluate("document.querySelector('.neighbours tr.chosen th').textContent") == "3"
    page.press("o")
    assert "by=bm25" in where(page)
    page.press("t")
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.neighbours .chunk')).whiteSpaceCollapse")
        == "preserve"
    )
    page.press("?", loads=False)
    assert page.evaluate("document.querySelector('dialog').open")
    page.press("Escape", loads=False)
    assert page.problems == []


def test_the_form_compares_without_a_script(page, address, library):
    path = f"/d/{library.documents['key'][0]}/40"
    page.look(1280, 800, scripts=False)
    page.open(f"{address}{path}?by=s_t")
    page.evaluate("document.querySelector('select[name=show]').value = 'a-retro:second'")
    page.evaluate("document.querySelector('form.compared button').focus()")
    page.press("Enter")
    assert where(page) == f"{path}?show=a-retro%3Asecond&against=a-transformer_xl&by=s_t"
    assert page.evaluate("document.querySelector('.losses .chosen th').textContent") == "a-retro second"


def test_hostile_text_arrives_and_does_nothing(page, hostile_corpus):
    with serving(explore, str(hostile_corpus), hostile_corpus / "index") as address:
        for doc_id in DISTINCT[::4]:
            for path in ("", "/7?full=1"):
                page.open(f"{address}/d/{key_of(doc_id)}{path}")
                title = page.evaluate("""(() => {
                  const copy = document.querySelector("h1 bdi").cloneNode(true);
                  for (const mark of copy.querySelectorAll("mark"))
                    mark.replaceWith(String.fromCodePoint(parseInt(mark.textContent.slice(2), 16)));
                  return copy.textContent;
                })()""")
                assert title == clipped(doc_id, 300)
                assert page.evaluate("document.documentElement.scrollWidth") <= 1280
                assert not page.evaluate("document.documentElement.hasAttribute('owned')")
                assert not page.evaluate(
                    "document.querySelectorAll('img, iframe, object, embed, base, marquee, style, main"
                    " script').length"
                )
        assert {request for request in page.requests if not request.startswith(f"{address}/")} <= {"data:,"}
    assert page.dialogs == []
    assert page.problems == []
