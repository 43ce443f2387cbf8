"""Hostile texts, ids and sources become text on every page, and nothing else; the texts are all there, exactly."""

import html
import re
from concurrent.futures import Future
from dataclasses import replace

import polars as pl
import pytest

from benchmarks._label_sets import alter_label_set
from reports.browser import help_page
from reports.browser.address import key_of
from reports.browser.movers_page import compared
from reports.browser.shelf import Shelf
from reports.label_set import open_label_set
from reports.markup import clipped
from tests.hostile import STORABLE

TEXTS = list(dict.fromkeys(STORABLE))
ATTRIBUTES = {
    "charset",
    "name",
    "content",
    "rel",
    "href",
    "src",
    "defer",
    "class",
    "type",
    "value",
    "maxlength",
    "aria-label",
    "placeholder",
}
ATTRIBUTES |= {"action", "role", "data-key", "data-row", "id", "tabindex", "method", "lang", "title", "dir", "scope", "aria-sort"}
ATTRIBUTES |= {"aria-current", "aria-hidden", "viewbox", "d", "x", "y", "width", "height", "preserveaspectratio", "selected", "min", "max"}


@pytest.fixture(scope="module")
def client(hostile_set, client_of):
    return client_of(hostile_set)


@pytest.fixture(scope="module")
def texts(hostile_set):
    return {doc_id: hostile_set.chunks(doc_id)["text"].to_list() for doc_id in hostile_set.documents["doc_id"]}


def check(page):
    """Whole, with nothing in it that acts but our script, and no address that leads away."""
    assert not page.unbalanced
    assert not page.open
    for name, attributes in page.elements:
        assert set(attributes) <= ATTRIBUTES
        assert name not in {"img", "iframe", "object", "embed", "base", "style", "marquee", "plaintext", "template"}
        for address in (attributes.get("href"), attributes.get("src"), attributes.get("action")):
            assert address is None or re.match(r"[/#?]|data:,$", address)
            assert address is None or not address.startswith("//")
    assert [attributes.get("src", "")[:17] for name, attributes in page.elements if name == "script"] == ["/static/script.js"]


@pytest.mark.parametrize("doc_id", TEXTS, ids=range(len(TEXTS)))
def test_pages_of_a_hostile_document(client, parse, texts, doc_id):
    key, own = key_of(doc_id), texts[doc_id]
    assert re.fullmatch(r"~[0-9a-f]{16}|[0-9a-f]+", key)
    page = parse(client.get(f"/d/{key}").text)
    check(page)
    assert page.all_text("bdi")[1] == clipped(doc_id, 300)
    assert page.all_text("code")[0] == clipped(doc_id, 80)
    for query in (5, 7):
        raw = client.get(f"/d/{key}/{query}?full=1").text
        page = parse(raw)
        check(page)
        shown = page.all_text("div", "chunk")
        candidates = [int(chunk) for chunk in re.findall(r'aria-label="candidate \d+, chunk (\d+)"', raw)]
        assert shown[:5] == [own[query - 2] + own[query - 1], own[query], own[query + 1], own[candidates[0]], own[candidates[0] + 1]]
        assert shown[5:] == [own[chunk] for j in candidates for chunk in (j, j + 1)]
        assert page.all_text("bdi")[1] == clipped(doc_id, 300)
        assert not set(raw) & set(
            "\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\ufeff\u00ad\u061c\u2066\u2069"
        )
        assert not {character for character in raw if character < " "} - {"\n", "\t"}


def test_lists_of_hostile_documents(client, parse, hostile_set):
    seen, address = [], "/"
    while address:
        page = parse(client.get(address).text)
        check(page)
        seen += page.all_text("bdi")[1:]
        address = next((attributes["href"] for _, attributes in page.elements if attributes.get("data-key") == "n"), None)
    assert seen == [clipped(doc_id, 300) for doc_id in TEXTS]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_searching_for_hostile_text(client, parse, texts, text):
    wanted = text[:200]
    answer = client.get("/search", params={"q": wanted})
    assert answer.status_code == 200
    page = parse(answer.text)
    check(page)
    assert "Nothing found" not in page.texts[0]
    for parameter in ("source", "find"):
        path = "/search" if parameter == "source" else "/"
        listed = client.get(path, params={parameter: wanted})
        assert listed.status_code == 200
        check(parse(listed.text))


@pytest.mark.parametrize("path", ["/{}", "/d/{}", "/d/{}/1", "/static/{}", "/gains/{}/{}", "/?sort={}", "/?page={}", "/search?sign={}"])
def test_hostile_addresses(client, parse, path):
    from urllib.parse import quote

    for text in TEXTS:
        written = quote(text[:400], safe="")
        if written in (".", ""):
            continue
        answer = client.get(path.format(written, written))
        assert answer.status_code in (200, 400, 404), text
        if answer.headers["content-type"].startswith("text/html"):
            check(parse(answer.text))
        else:
            assert answer.headers["x-content-type-options"] == "nosniff"
    assert html.escape(TEXTS[0])[:20] in client.get("/" + quote(TEXTS[0])).text


def test_hostile_versions_are_compared_as_text(hostile_set, client_of, parse, tmp_path):
    other = alter_label_set(hostile_set.directory, tmp_path, lambda rows: rows.with_columns(pl.col("candidate_logprob") - 20))
    sets, done = (hostile_set, open_label_set(other, tmp_path / "cache")), Future()
    done.set_result(compared(*sets, movers=5000))
    client = client_of(*sets, comparison=done)
    page = parse(client.get("/compare").text)
    check(page)
    assert {clipped(text, 300) for text in TEXTS} <= set(page.all_text("bdi"))
    for doc_id in TEXTS[::10]:
        for path in ("", "/7"):
            check(parse(client.get(f"/d/{key_of(doc_id)}{path}").text))


def test_hostile_names_and_scorers_are_text(hostile_set, parse):
    for text in TEXTS:
        shelf = Shelf([replace(hostile_set, scorer={text: text})], [text], [None])
        page = parse(help_page.render(shelf))
        check(page)
        assert page.all_text("h3") == [clipped(text, 300)]
        assert page.all_text("code")[-1] == clipped(text, 300)
