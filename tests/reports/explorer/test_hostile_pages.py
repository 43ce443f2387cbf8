"""Hostile texts, ids, sources, runs and systems become text on every page, and nothing else; the texts are all there, exactly."""

import re
from urllib.parse import quote

import pytest

from reports.browser.address import key_of
from reports.markup import clipped
from tests.hostile import STORABLE
from tests.reports.browser.test_hostile_pages import check
from tests.reports.explorer.conftest import RUNS, client_of

TEXTS = list(dict.fromkeys(STORABLE))


@pytest.fixture(scope="module")
def client(hostile_library):
    return client_of(hostile_library)


@pytest.mark.parametrize("doc_id", TEXTS, ids=range(len(TEXTS)))
def test_pages_of_a_hostile_document(client, parse, hostile_library, doc_id):
    key = key_of(doc_id)
    own = hostile_library.document(key).texts
    page = parse(client.get(f"/d/{key}").text)
    check(page)
    assert clipped(doc_id, 300) in page.all_text("bdi")
    for query in (5, 7):
        raw = client.get(f"/d/{key}/{query}?full=1").text
        page = parse(raw)
        check(page)
        assert clipped(doc_id, 300) in page.all_text("bdi")
        assert page.all_text("div", "chunk tokens") == [own[query + 1]]
        shown = page.all_text("div", "chunk")
        found = [int(chunk) for chunk in re.findall(r'aria-label="neighbour \d+, chunk (\d+)"', raw)]
        assert shown[:3] == [own[query], own[found[0]], own[found[0] + 1]]
        assert shown[3:] == [own[chunk] for j in found for chunk in (j, j + 1)]
        assert not set(raw) & set("\u200b\u200e\u200f\u2028\u2029\u202a\u202d\u202e\u2066\u2067\u2069\ufeff\u00ad")
        assert not {character for character in raw if character < " "} - {"\n", "\t"}


def test_lists_and_help_of_hostile_names(client, parse):
    seen, address = [], "/"
    while address:
        page = parse(client.get(address).text)
        check(page)
        assert set(RUNS) <= set(page.all_text("bdi"))
        seen += [text for text in page.all_text("bdi") if text in {clipped(one, 300) for one in TEXTS}]
        address = next((attributes["href"] for _, attributes in page.elements if attributes.get("data-key") == "n"), None)
    assert {clipped(text, 300) for text in TEXTS} <= set(seen)
    check(parse(client.get("/help").text))


@pytest.mark.parametrize("path", ["/{}", "/d/{}", "/d/{}/1", "/static/{}", "/?sort={}", "/?show={}", "/?find={}"])
def test_hostile_addresses(client, parse, path):
    for text in TEXTS:
        written = quote(text[:200], safe="")
        if written in (".", ""):
            continue
        answer = client.get(path.format(written))
        assert answer.status_code in (200, 400, 404), text
        if answer.headers["content-type"].startswith("text/html"):
            check(parse(answer.text))


@pytest.mark.parametrize("run", RUNS)
def test_hostile_runs_are_chosen_by_their_name(client, parse, hostile_library, run):
    key = hostile_library.documents["key"][3]
    for address in (f"/?show={quote(run)}", f"/d/{key}/7?show={quote(run)}%3Anone&against={quote(run)}"):
        answer = client.get(address)
        assert answer.status_code == 200
        check(parse(answer.text))
