"""The page that is shared needs nothing else, holds what it says, and stays small."""

import re

import pytest

from data_contracts.failure import Exit, Failure
from flows.labels import browser as label_browser
from flows.labels.browser import share
from reports.browser import share_page
from reports.browser.library import LabelLibrary
from reports.html.markup import clipped
from reports.site.address import key_of
from tests.reports.hostile import check_nothing_acts


@pytest.fixture(scope="module")
def library(label_set):
    return LabelLibrary([label_set], ["made-up"], [None])


@pytest.fixture(scope="module")
def hostile_page(hostile_set):
    html, documents = share_page.render(LabelLibrary([hostile_set], ["<b>"], [None]), 10_000)
    assert documents == len(hostile_set.documents)
    return html


def test_every_link_leads_to_a_place_of_the_page(library, parse):
    page = parse(share_page.render(library, 5)[0])
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids)) == 5 + 5 * share_page.QUERIES
    links = [attributes["href"] for name, attributes in page.elements if name == "a"]
    assert {link.removeprefix("#") for link in links} == set(ids)


def test_the_policy_of_the_page_runs_nothing_and_fetches_nothing(library, parse):
    page = parse(share_page.render(library, 1)[0])
    policies = [
        attributes["content"]
        for name, attributes in page.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    (policy,) = [
        {kind: set(sources) for kind, *sources in map(str.split, said.split(";"))} for said in policies
    ]
    for kind in (
        "script-src",
        "img-src",
        "connect-src",
        "font-src",
        "frame-src",
        "media-src",
        "object-src",
        "worker-src",
    ):
        assert policy.get(kind, policy["default-src"]) <= {"'none'", "data:"}, kind


def test_documents_are_spread_evenly_and_have_their_extremes(library, label_set, parse):
    html, documents = share_page.render(library, 3)
    page, ids = parse(html), label_set.documents["doc_id"]
    assert documents == 3
    sections = [
        attributes["id"] for name, attributes in page.elements if name == "section" and "id" in attributes
    ]
    assert [key for key in sections if "-" not in key] == [ids[0], ids[3], ids[6]]
    document = library.document(ids[3])
    order = [query for query in document.best[0].argsort() if query in document.queries]
    extremes = {f"{ids[3]}-{query}" for query in (order[0], *order[-share_page.QUERIES + 1 :])}
    assert {key for key in sections if key.startswith(f"{ids[3]}-")} == extremes


def test_a_page_that_would_be_too_large_has_fewer_documents(library, monkeypatch):
    whole, _ = share_page.render(library, 7)
    monkeypatch.setattr(share_page, "MOST_BYTES", len(whole.encode()) // 3)
    html, documents = share_page.render(library, 7)
    assert 1 <= documents < 7
    assert len(html.encode()) < len(whole.encode()) / 2
    assert f"{documents} of them follow" in html


@pytest.mark.slow
def test_hostile_text_is_text(hostile_page, hostile_set, parse):
    page = parse(hostile_page)
    assert not page.unbalanced
    assert not page.open
    check_nothing_acts(page)
    ids = hostile_set.documents["doc_id"].to_list()
    assert page.all_text("bdi")[1 : 1 + len(ids)] == [clipped(doc_id, 300) for doc_id in ids]
    texts = {text for doc_id in ids for text in hostile_set.chunks(doc_id)["text"]}
    assert len(set(page.all_text("div", "chunk")) & texts) > 150
    assert len(hostile_page.encode()) < 5_000_000


@pytest.mark.slow
def test_a_browser_asks_for_nothing_else(page, hostile_page, hostile_set, tmp_path):
    place = tmp_path / "shared.html"
    place.write_text(hostile_page, encoding="utf-8", newline="")
    key = key_of(hostile_set.documents["doc_id"][9])
    for width in (390, 1280):
        page.look(width, 800)
        page.open(f"{place.as_uri()}?{width}#{key}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert abs(page.evaluate(f"document.getElementById('{key}').getBoundingClientRect().top")) < 2
    assert {request.split("?")[0] for request in page.requests} == {place.as_uri()}
    assert page.dialogs == []
    assert page.problems == []
    assert not page.evaluate("document.documentElement.hasAttribute('owned')")


def test_a_file_is_not_overwritten_unless_it_is_said(home, tmp_path, monkeypatch):
    monkeypatch.setattr(label_browser, "INDEX", home / "cache")
    place = tmp_path / "labels.html"
    assert share(str(home / "labels"), place, 2, False) == 2
    first = place.read_bytes()
    assert re.search(rb"<h1>Labels of", first)
    with pytest.raises(Failure, match="overwritten") as failure:
        share(str(home / "labels"), place, 1, False)
    assert failure.value.code == Exit.USAGE
    assert place.read_bytes() == first
    assert share(str(home / "labels"), place, 1, True) == 1
    with pytest.raises(Failure, match="cannot be written"):
        share(str(home / "labels"), tmp_path / "nowhere" / "labels.html", 1, False)
