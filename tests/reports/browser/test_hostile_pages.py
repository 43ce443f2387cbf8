"""Hostile texts, ids and sources become text on every page, and nothing else; the texts are all there,
exactly.
"""

import html
import re
from concurrent.futures import Future
from dataclasses import replace
from urllib.parse import quote

import polars as pl
import pytest

from benchmarks._label_sets import alter_label_set
from reports.browser import help_page
from reports.browser.library import LabelLibrary
from reports.browser.movers_page import compared
from reports.html.markup import clipped
from reports.labels.label_set import open_label_set
from reports.site.address import key_of
from tests.hostile import DISTINCT, acting, check_each
from tests.reports.served_pages import check_page, one_thread


@pytest.fixture(scope="module")
def client(hostile_set, client_of):
    with one_thread(client_of(hostile_set)) as client:
        yield client


@pytest.fixture(scope="module")
def texts(hostile_set):
    chunks = pl.read_parquet(hostile_set.directory.with_name("chunks") / "*.parquet")
    return dict(chunks.group_by("doc_id", maintain_order=True).agg("text").iter_rows())


def test_pages_of_hostile_documents(client, parse, texts):
    seen = []

    def check(doc_id):
        key, own = key_of(doc_id), texts[doc_id]
        assert re.fullmatch(r"~[0-9a-f]{16}|[0-9a-f]+", key)
        page = parse(client.get(f"/d/{key}").text)
        check_page(page)
        assert page.all_text("bdi")[1] == clipped(doc_id, 300)
        assert page.all_text("code")[0] == clipped(doc_id, 80)
        seen.append(check_query(client, parse, doc_id, own, 5)[1:])

    check_each(DISTINCT, check)
    check_each(DISTINCT[::10], lambda doc_id: check_query(client, parse, doc_id, texts[doc_id], 7))
    assert [set(place) for place in zip(*seen, strict=True)] == [set(DISTINCT)] * 6, (
        "every place has held every text"
    )


def check_query(client, parse, doc_id, own, query):
    """The page of a query holds all that it should, exactly; the texts in the order of their places."""
    raw = client.get(f"/d/{key_of(doc_id)}/{query}?full=1").text
    page = parse(raw)
    check_page(page)
    shown = page.all_text("div", "chunk")
    candidates = [int(chunk) for chunk in re.findall(r'aria-label="candidate \d+, chunk (\d+)"', raw)]
    assert shown[:5] == [
        own[query - 2] + own[query - 1],
        own[query],
        own[query + 1],
        own[candidates[0]],
        own[candidates[0] + 1],
    ]
    assert shown[5:] == [own[chunk] for j in candidates for chunk in (j, j + 1)]
    assert page.all_text("bdi")[1] == clipped(doc_id, 300)
    assert not acting(raw) - {"\t"}
    return shown


def test_lists_of_hostile_documents(client, parse, hostile_set):
    seen, address = [], "/"
    while address:
        page = parse(client.get(address).text)
        check_page(page)
        seen += page.all_text("bdi")[1:]
        address = next(
            (attributes["href"] for _, attributes in page.elements if attributes.get("data-key") == "n"), None
        )
    assert seen == [clipped(doc_id, 300) for doc_id in DISTINCT]


def test_searching_for_hostile_text(client, parse):
    def check(text):
        wanted = text[:200]
        answer = client.get("/search", params={"q": wanted})
        assert answer.status_code == 200
        page = parse(answer.text)
        check_page(page)
        assert "Nothing found" not in page.texts[0]
        for parameter in ("source", "find"):
            path = "/search" if parameter == "source" else "/"
            listed = client.get(path, params={parameter: wanted})
            assert listed.status_code == 200
            check_page(parse(listed.text))

    check_each(DISTINCT, check)


@pytest.mark.parametrize(
    "path",
    ["/{}", "/d/{}", "/d/{}/1", "/static/{}", "/gains/{}/{}", "/?sort={}", "/?page={}", "/search?sign={}"],
)
def test_hostile_addresses(client, parse, path):
    def check(text):
        written = quote(text[:400], safe="")
        answer = client.get(path.format(written, written))
        assert answer.status_code in (200, 400, 404)
        if answer.headers["content-type"].startswith("text/html"):
            check_page(parse(answer.text))
        else:
            assert answer.headers["x-content-type-options"] == "nosniff"

    check_each(DISTINCT, check)
    assert html.escape(DISTINCT[0])[:20] in client.get("/" + quote(DISTINCT[0])).text


def test_hostile_versions_are_compared_as_text(hostile_set, client_of, parse, tmp_path):
    other = alter_label_set(
        hostile_set.directory, tmp_path, lambda rows: rows.with_columns(pl.col("candidate_logprob") - 20)
    )
    sets, done = (hostile_set, open_label_set(other, tmp_path / "cache")), Future()
    done.set_result(compared(*sets, movers=5000))
    client = client_of(*sets, comparison=done)
    page = parse(client.get("/compare").text)
    check_page(page)
    assert {clipped(text, 300) for text in DISTINCT} <= set(page.all_text("bdi"))
    for doc_id in DISTINCT[::10]:
        for path in ("", "/7"):
            check_page(parse(client.get(f"/d/{key_of(doc_id)}{path}").text))


def test_hostile_names_and_scorers_are_text(hostile_set, parse):
    def check(text):
        library = LabelLibrary([replace(hostile_set, scorer={text: text})], [text], [None])
        page = parse(help_page.render(library))
        check_page(page)
        assert page.all_text("h3") == [clipped(text, 300)]
        assert page.all_text("code")[-1] == clipped(text, 300)

    check_each(DISTINCT, check)
