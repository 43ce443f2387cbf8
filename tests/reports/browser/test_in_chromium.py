"""The real pages in a real browser: keys, gains, sizes and colours, and hostile text that stays text."""

from __future__ import annotations

import re

import pytest

from benchmarks._served import served
from reports.html.markup import clipped
from reports.site.address import key_of
from tests.hostile import DISTINCT
from tests.reports.served_pages import where

KEY, QUERY = "00112233445566ff", 41
TEXT = """(() => {
  const decoded = (element) => {
    const copy = element.cloneNode(true);
    for (const mark of copy.querySelectorAll("mark"))
      mark.replaceWith(String.fromCodePoint(parseInt(mark.textContent.slice(2), 16)));
    return copy.textContent;
  };
  return [...document.querySelectorAll(SELECTOR)].map(decoded);
})()"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(browsed_address):
    return browsed_address


@pytest.fixture(scope="module")
def scored_address(scored):
    with served([scored / "labels"], scored / "cache") as address:
        yield address


def texts(page, selector):
    return page.evaluate(TEXT.replace("SELECTOR", repr(selector)))


def test_the_keyboard_reaches_everything(page, address, label_set):
    ids = label_set.documents["doc_id"]
    page.open(f"{address}/")
    page.press("j", loads=False)
    page.press("j", loads=False)
    assert page.evaluate("document.activeElement.getAttribute('href')") == f"/d/{ids[1]}"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.press("k", loads=False)
    page.press("Enter")
    assert where(page) == f"/d/{ids[0]}"
    for key, path in (("j", "4"), ("j", "5"), ("j", "6"), ("k", "5")):
        page.press(key)
        assert where(page) == f"/d/{ids[0]}/{path}"
    page.press("n")
    assert where(page) == f"/d/{ids[1]}"
    page.press("p")
    page.press("j")
    page.press("d")
    assert where(page) == f"/d/{ids[0]}?c=4"
    assert page.evaluate("document.querySelector('.strip [aria-current]').title").startswith("chunk 4:")
    page.press("j")
    assert where(page) == f"/d/{ids[0]}/4"
    page.press("h")
    assert where(page) == "/"
    assert page.problems == []


def test_digits_choose_candidates_and_b_their_order(page, address, label_set):
    key = label_set.documents["doc_id"][2]
    page.open(f"{address}/d/{key}/41")
    first = texts(page, ".candidates tr.chosen th")
    page.press("3")
    chosen = re.search(r"\?c=(\d+)", where(page))[1]
    assert (first, texts(page, ".candidates tr.chosen th")) == (["1"], ["3"])
    page.press("b")
    assert where(page) == f"/d/{key}/41?by=bm25&c={chosen}"
    ranks = [int(text.split()[-1]) for text in texts(page, ".candidates tbody td:nth-child(2)")]
    assert ranks == list(range(12))
    page.press("t")
    assert (
        page.evaluate("getComputedStyle(document.querySelector('.candidates .chunk')).whiteSpaceCollapse")
        == "preserve"
    )
    page.press("j")
    assert where(page) == f"/d/{key}/42?by=bm25&full=1"


def test_arrows_walk_the_strip(page, address, label_set):
    key = label_set.documents["doc_id"][2]
    page.open(f"{address}/d/{key}")
    page.evaluate("document.querySelector('.strip .cell').focus()")
    for _ in range(7):
        page.press("ArrowRight", loads=False)
    page.press("ArrowLeft", loads=False)
    page.press("Enter")
    assert where(page) == f"/d/{key}/6"


def test_slash_searches_and_keys_are_letters_in_the_box(page, address):
    page.open(f"{address}/")
    page.press("/", loads=False)
    for letter in "query":
        page.press(letter, loads=False)
    page.press("Enter")
    assert where(page) == "/search?q=query"
    assert set(texts(page, ".excerpt strong")) == {"query"}
    page.press("/", loads=False)
    page.press("Escape", loads=False)
    page.press("h")
    assert where(page) == "/"


def test_the_list_of_keys_opens_and_closes(page, address):
    page.open(f"{address}/")
    page.press("?", loads=False)
    assert page.evaluate("document.querySelector('dialog').open")
    page.press("h", loads=False)
    page.press("Escape", loads=False)
    assert not page.evaluate("document.querySelector('dialog').open")
    assert where(page) == "/"
    assert page.dialogs == []


def painted(page):
    return page.evaluate(
        "[...document.querySelectorAll('.tokens span')].map(token => [token.className, token.title])"
    )


def test_gains_are_painted_unless_they_are_hidden(page, scored_address):
    page.open(f"{scored_address}/d/{KEY}/{QUERY}?gains=hide")
    assert not [request for request in page.requests if "/gains/" in request]
    page.press("g")
    note = "document.querySelector('.target .note').textContent"
    words = page.until(f"{note}.includes('add up') && {note}")
    assert words.endswith("as the label says.")
    assert len([request for request in page.requests if "/gains/" in request]) == 1
    with_script = painted(page)
    assert len(with_script) == 16
    assert all(kind in ("n3", "n2", "n1", "z", "p1", "p2", "p3") and title for kind, title in with_script)
    page.press("2")
    assert "gains" not in where(page)
    page.press("g")
    assert "gains=hide" in where(page)

    page.look(1280, 800, scripts=False)
    page.open(f"{scored_address}/d/{KEY}/{QUERY}")
    page.open(
        scored_address + page.evaluate("document.querySelector('.target noscript a').getAttribute('href')")
    )
    assert painted(page) == with_script


def test_without_scripts_every_page_works(page, address, label_set):
    page.look(1280, 800, scripts=False)
    for path in (
        "/",
        "/?sort=-best_max",
        f"/d/{label_set.documents['doc_id'][0]}",
        f"/d/{label_set.documents['doc_id'][0]}/20",
        "/search?q=the",
        "/help",
    ):
        page.open(f"{address}{path}")
        assert page.evaluate("document.querySelector('h1').textContent")
        assert not [request for request in page.requests if "script" in request]


CONTRAST = """(() => {
  const channel = (value) => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(channel);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const main = document.querySelector("main");
  return ["n3", "n2", "n1", "z", "p1", "p2", "p3", "note", "about"].map((kind) => {
    const span = main.appendChild(document.createElement("span"));
    span.className = kind;
    const style = getComputedStyle(span);
    const paper = /, 0\\)$/.test(style.backgroundColor) ? getComputedStyle(document.body) : style;
    const [a, b] = [light(style.color), light(paper.backgroundColor)].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  });
})()"""


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read_on_every_colour(page, address, dark):
    page.look(1280, 800, dark=dark)
    page.open(f"{address}/help")
    assert min(page.evaluate(CONTRAST)) >= 4.5


def test_hostile_text_arrives_and_does_nothing(page, hostile_set):
    own = {doc_id: hostile_set.chunks(doc_id)["text"].to_list() for doc_id in hostile_set.documents["doc_id"]}
    assert len(DISTINCT) >= 150
    with served([hostile_set.directory], hostile_set.index.parent) as address:
        for number in range(-(-len(DISTINCT) // 50)):
            page.open(f"{address}/?page={number + 1}")
            expected = [clipped(text, 300) for text in DISTINCT[50 * number : 50 * (number + 1)]]
            assert texts(page, "main bdi") == expected
            assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        for doc_id in DISTINCT:
            page.open(f"{address}/d/{key_of(doc_id)}/7?full=1")
            assert texts(page, "h1 bdi") == [clipped(doc_id, 300)]
            assert texts(page, ".panel .chunk")[:2] == own[doc_id][7:9]
            candidates = [
                int(label.split()[-1])
                for label in page.evaluate(
                    "[...document.querySelectorAll('.candidates th a')].map(a => a.ariaLabel)"
                )
            ]
            assert texts(page, ".candidates .chunk") == [
                own[doc_id][chunk] for j in candidates for chunk in (j, j + 1)
            ]
            assert page.evaluate("document.documentElement.scrollWidth") <= 1280
            assert not page.evaluate("document.documentElement.hasAttribute('owned')")
            assert not page.evaluate(
                "document.querySelectorAll('img, iframe, object, embed, base, marquee, style, main"
                " script').length"
            )
        page.press("d")
        assert texts(page, "h1 bdi") == [clipped(DISTINCT[-1], 300)]
        assert {request for request in page.requests if not request.startswith(f"{address}/")} <= {"data:,"}
    assert page.dialogs == []
    assert page.problems == []


def test_the_driver_would_have_noticed(page):
    attack = "<script>alert(1)</script><img src='http://127.0.0.1:1/leak'><script>undefined.x</script>"
    page.open(f"data:text/html,{attack}")
    assert page.dialogs == ["1"]
    assert "http://127.0.0.1:1/leak" in page.requests
    assert page.problems


def test_the_policy_stops_what_escaping_would_miss(page, address):
    page.open(f"{address}/help")
    page.evaluate("""(() => {
      const script = document.createElement("script");
      script.textContent = "document.documentElement.setAttribute('owned', '1')";
      document.body.append(script);
      const image = document.createElement("img");
      image.src = "http://127.0.0.1:1/leak";
      document.body.append(image);
    })()""")
    page.until("1")
    assert not page.evaluate("document.documentElement.hasAttribute('owned')")
    assert len([problem for problem in page.problems if "Content Security Policy" in problem]) == 2
