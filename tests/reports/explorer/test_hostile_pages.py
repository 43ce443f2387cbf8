"""Hostile texts, ids, sources, runs and systems become text on every page, and nothing else; the texts are
all there, exactly.
"""

import re
from urllib.parse import quote

import pytest

from reports.html.markup import clipped
from reports.site.address import key_of
from tests.hostile import DISTINCT, acting, check_each
from tests.reports.explorer.conftest import RUNS
from tests.reports.served_pages import check_page, explorer_client, one_thread


@pytest.fixture(scope="module")
def client(hostile_library):
    with one_thread(explorer_client(hostile_library)) as client:
        yield client


def test_pages_of_hostile_documents(client, parse, hostile_library):
    seen = []

    def check(doc_id):
        page = parse(client.get(f"/d/{key_of(doc_id)}").text)
        check_page(page)
        assert clipped(doc_id, 300) in page.all_text("bdi")
        seen.append(check_chunk(client, parse, hostile_library, doc_id, 5))

    check_each(DISTINCT, check)
    check_each(DISTINCT[::10], lambda doc_id: check_chunk(client, parse, hostile_library, doc_id, 7))
    assert [set(place) for place in zip(*seen, strict=True)] == [set(DISTINCT)] * 6, (
        "every place has held every text"
    )


def check_chunk(client, parse, library, doc_id, query):
    """The page of a chunk holds all that it should, exactly; the texts in the order of their places."""
    key = key_of(doc_id)
    raw, own = client.get(f"/d/{key}/{query}?full=1").text, library.document(key).texts
    page = parse(raw)
    check_page(page)
    assert clipped(doc_id, 300) in page.all_text("bdi")
    assert page.all_text("div", "chunk tokens") == [own[query + 1]]
    shown = page.all_text("div", "chunk")
    found = [int(chunk) for chunk in re.findall(r'aria-label="neighbour \d+, chunk (\d+)"', raw)]
    assert shown[:3] == [own[query], own[found[0]], own[found[0] + 1]]
    assert shown[3:] == [own[chunk] for j in found for chunk in (j, j + 1)]
    assert not acting(raw) - {"\t"}
    return [own[query + 1], *shown]


def test_lists_and_help_of_hostile_names(client, parse):
    seen, address = [], "/"
    while address:
        page = parse(client.get(address).text)
        check_page(page)
        assert set(RUNS) <= set(page.all_text("bdi"))
        seen += [text for text in page.all_text("bdi") if text in {clipped(one, 300) for one in DISTINCT}]
        address = next(
            (attributes["href"] for _, attributes in page.elements if attributes.get("data-key") == "n"), None
        )
    assert {clipped(text, 300) for text in DISTINCT} <= set(seen)
    check_page(parse(client.get("/help").text))


@pytest.mark.parametrize(
    "path", ["/{}", "/d/{}", "/d/{}/1", "/static/{}", "/?sort={}", "/?show={}", "/?find={}"]
)
def test_hostile_addresses(client, parse, path):
    def check(text):
        answer = client.get(path.format(quote(text[:200], safe="")))
        assert answer.status_code in (200, 400, 404)
        if answer.headers["content-type"].startswith("text/html"):
            check_page(parse(answer.text))

    check_each(DISTINCT, check)


@pytest.mark.parametrize("run", RUNS)
def test_hostile_runs_are_chosen_by_their_name(client, parse, hostile_library, run):
    key = hostile_library.documents["key"][3]
    for address in (f"/?show={quote(run)}", f"/d/{key}/7?show={quote(run)}%3Anone&against={quote(run)}"):
        answer = client.get(address)
        assert answer.status_code == 200
        check_page(parse(answer.text))
