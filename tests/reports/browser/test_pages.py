"""Pages show what the labels say: lists sorted and filtered, documents as strips, candidates in order, links
that keep the state.
"""

import re
from html import unescape

import numpy as np
import polars as pl
import pytest

from benchmarks._label_sets import make_label_set
from reports.browser import document_page, list_page
from reports.html.formats import count, number
from reports.labels.label_set import open_label_set
from tests.reports.served_pages import keyed, table


@pytest.fixture(scope="module")
def rows(home):
    return pl.read_parquet(home / "labels" / "*.parquet")


def links(page):
    return [attributes["href"] for name, attributes in page.elements if name == "a"]


@pytest.mark.parametrize("sort", ["source", "chunks", "queries", "best_mean", "best_max", "positive"])
@pytest.mark.parametrize("direction", ["", "-"])
def test_documents_are_sorted(client, parse, label_set, sort, direction):
    documents = label_set.documents.with_columns(positive=pl.col("positive") / pl.col("pairs"))
    expected = documents.sort(sort, descending=direction == "-", maintain_order=True)["doc_id"].to_list()
    page = parse(client.get(f"/?sort={direction}{sort}").text)
    assert page.all_text("code") == expected
    heads = [attributes.get("aria-sort") for name, attributes in page.elements if name == "th"]
    assert set(heads) == {None, "descending" if direction else "ascending"}


def test_documents_are_filtered_by_split_source_and_id(client, parse, label_set):
    documents = label_set.documents
    assert (
        parse(client.get("/?split=test").text).all_text("code")
        == documents.filter(pl.col("split") == "test")["doc_id"].to_list()
    )
    assert parse(client.get("/?find=BOOK-00003").text).all_text("code") == [documents["doc_id"][3]]
    assert parse(client.get(f"/?find={documents['doc_id'][2][3:9]}").text).all_text("code") == [
        documents["doc_id"][2]
    ]
    assert "No document is like that" in client.get("/?find=nothing").text


def test_a_row_has_the_figures_of_its_document(client, parse, label_set):
    row, document = table(parse(client.get("/").text), "documents")[4], label_set.documents.row(4, named=True)
    assert row[0].startswith(document["source"])
    assert row[2:4] == [count(document["chunks"]), count(document["queries"]) + " queries"]
    assert row[4].startswith(f"{100 * document['positive'] / document['pairs']:.1f} %")
    assert row[5].startswith(number(document["best_mean"], signed=True))
    assert row[6] == number(document["best_max"], signed=True)


def test_long_lists_and_long_documents_come_in_parts(tmp_path, client_of, parse):
    labels = make_label_set(tmp_path, documents=list_page.ROWS + 3, chunks=8, candidates=1)
    client, seen = client_of(open_label_set(labels, tmp_path / "cache")), []
    address = "/?sort=-source"
    while address:
        page = parse(client.get(address).text)
        seen += page.all_text("code")
        address = keyed(page, "n")
    assert len(seen) == len(set(seen)) == list_page.ROWS + 3

    labels = make_label_set(tmp_path / "long", documents=1, chunks=document_page.STRIP + 76, candidates=1)
    label_set = open_label_set(labels, tmp_path / "cache")
    key = label_set.documents["doc_id"][0]
    client = client_of(label_set)
    parts = [
        re.findall(rf'href="/d/{key}/(\d+)"[^>]*title="chunk', client.get(f"/d/{key}?at={at}").text)
        for at in (1, 2)
    ]
    assert [len(part) for part in parts] == [document_page.STRIP, 76]
    assert parts[1][0] == str(document_page.STRIP)
    marked = client.get(f"/d/{key}?c={document_page.STRIP + 5}").text
    assert f"chunk {document_page.STRIP + 5}: " in re.search(r'title="([^"]*)"[^>]*aria-current', marked)[1]


def test_a_strip_has_a_cell_for_every_chunk_in_the_colour_of_its_best(client, rows, label_set):
    key = label_set.documents["doc_id"][2]
    best = dict(
        rows.filter(pl.col("doc_id") == key)
        .group_by("query_chunk")
        .agg(pl.col("target_score").max())
        .iter_rows()
    )
    cells = re.findall(
        rf'<a href="/d/{key}/(\d+)" class="cell (\w+)" title="([^"]*)"', client.get(f"/d/{key}").text
    )
    assert [int(chunk) for chunk, _, _ in cells] == list(range(60))
    for chunk, kind, title in cells:
        value = best.get(int(chunk))
        if value is None:
            assert (kind, title) == ("u", f"chunk {chunk}: no query")
        else:
            size = int(np.searchsorted([0.5, 2.0, 6.0], abs(value), "right"))
            assert kind == ("z" if size == 0 else f"{'p' if value > 0 else 'n'}{size}")
            assert f"best s_t {number(value, signed=True)}," in unescape(title)


@pytest.mark.parametrize(
    ("by", "column", "descending"), [("", "target_score", True), ("bm25", "rank", False)]
)
def test_candidates_are_ordered_and_complete(client, parse, rows, home, label_set, by, column, descending):
    key, query = label_set.documents["doc_id"][3], 41
    expected = rows.filter((pl.col("doc_id") == key) & (pl.col("query_chunk") == query)).sort(
        column, descending=descending
    )
    texts = pl.read_parquet(home / "chunks" / "*.parquet").filter(pl.col("doc_id") == key)["text"]
    shown = table(parse(client.get(f"/d/{key}/{query}?by={by}").text), "candidates")
    places = dict(
        zip(expected.sort("target_score", descending=True)["candidate_chunk"], range(100), strict=False)
    )
    assert len(shown) == len(expected) == 12
    for place, (cells, row) in enumerate(zip(shown, expected.iter_rows(named=True), strict=True), 1):
        j = row["candidate_chunk"]
        moved = row["rank"] - places[j]
        arrow = "=" if not moved else f"{'▲' if moved > 0 else '▼'} {abs(moved)}"
        assert cells[0] == str(place)
        assert cells[1] == f"BM25 rank {row['rank']}"
        assert cells[2:6] == [
            number(row["bm25"], 1),
            number(row["target_score"], signed=True),
            arrow,
            str(query - j),
        ]
        assert cells[6:] == [texts[j], texts[j + 1]]


def test_a_query_shows_its_texts_and_those_of_the_chosen_candidate(client, parse, rows, home, label_set):
    key, query = label_set.documents["doc_id"][3], 41
    texts = pl.read_parquet(home / "chunks" / "*.parquet").filter(pl.col("doc_id") == key)["text"]
    own = rows.filter((pl.col("doc_id") == key) & (pl.col("query_chunk") == query))
    best = own.sort("target_score", descending=True)["candidate_chunk"][0]
    for address, j in (
        (f"/d/{key}/{query}", best),
        (f"/d/{key}/{query}?c={own['candidate_chunk'][7]}", own["candidate_chunk"][7]),
    ):
        page = parse(client.get(address).text)
        local = texts[query - 2] + texts[query - 1]
        assert page.all_text("div", "chunk")[:5] == [
            local,
            texts[query],
            texts[query + 1],
            texts[j],
            texts[j + 1],
        ]
        assert page.all_text("title")[0].startswith(f"{query} · ")
        halves = own.filter(pl.col("candidate_chunk") == j).row(0, named=True)
        first = halves["candidate_halves"][0] - halves["local_halves"][0]
        assert f"{number(first, signed=True)} nats in the first half" in unescape(client.get(address).text)


def test_a_chunk_that_is_no_query_leads_to_one(client, parse, label_set):
    key = label_set.documents["doc_id"][0]
    page = parse(client.get(f"/d/{key}/0").text)
    assert "This chunk is no query" in page.texts[0]
    assert keyed(page, "j") == f"/d/{key}/4"
    assert keyed(page, "k") is None
    last = parse(client.get(f"/d/{key}/59").text)
    assert (keyed(last, "j"), keyed(last, "k")) == (None, f"/d/{key}/58")


def test_keys_lead_from_query_to_query_and_from_document_to_document(client, parse, label_set):
    ids = label_set.documents["doc_id"].to_list()
    page = parse(client.get(f"/d/{ids[1]}/20").text)
    assert (keyed(page, "j"), keyed(page, "k")) == (f"/d/{ids[1]}/21", f"/d/{ids[1]}/19")
    assert (keyed(page, "n"), keyed(page, "p"), keyed(page, "d")) == (
        f"/d/{ids[2]}",
        f"/d/{ids[0]}",
        f"/d/{ids[1]}?c=20",
    )
    assert [keyed(page, str(digit)) is not None for digit in range(1, 10)] == [True] * 9
    assert keyed(parse(client.get(f"/d/{ids[0]}").text), "p") is None
    assert keyed(parse(client.get(f"/d/{ids[-1]}").text), "n") is None


def test_the_next_document_is_the_next_of_the_list_that_was_left(client, parse, label_set):
    listed = (
        label_set.documents.filter(pl.col("split") == "train")
        .sort("best_max", descending=True)["doc_id"]
        .to_list()
    )
    page = parse(client.get("/?split=train&sort=-best_max").text)
    rows = [attributes["href"] for name, attributes in page.elements if "data-row" in attributes]
    assert rows == [f"/d/{key}?split=train&sort=-best_max" for key in listed]
    address, seen = rows[0], []
    while address:
        page = parse(client.get(address).text)
        seen.append(re.search(r"/d/(\w+)", address)[1])
        inside = parse(client.get(keyed(page, "j")).text)
        assert keyed(inside, "n") == keyed(page, "n")
        address = keyed(page, "n")
    assert seen == listed


def test_links_keep_the_order_and_drop_the_candidate(client, parse, label_set):
    key = label_set.documents["doc_id"][1]
    page = parse(client.get(f"/d/{key}/20?by=bm25&c=3&full=1").text)
    assert keyed(page, "j") == f"/d/{key}/21?by=bm25&full=1"
    assert keyed(page, "b") == f"/d/{key}/20?c=3&full=1"
    assert keyed(page, "t") == f"/d/{key}/20?by=bm25&c=3"


def test_every_link_leads_somewhere(client, parse, label_set):
    key = label_set.documents["doc_id"][1]
    known = set()
    for start in ("/", f"/d/{key}", f"/d/{key}/20", "/search?order=worst", "/search?q=the", "/help"):
        known |= {address for address in links(parse(client.get(start).text)) if not address.startswith("#")}
    for address in sorted(known)[::7]:
        assert client.get(address).status_code == 200, address


def test_controls_have_names_and_pages_a_language(client, parse, label_set):
    for path in ("/", f"/d/{label_set.documents['doc_id'][1]}/20", "/search?q=the"):
        page = parse(client.get(path).text)
        assert dict(page.elements)["html"] == {"lang": "en"}
        labelled = 0
        for (name, attributes), text in zip(page.elements, page.texts, strict=True):
            if name in ("input", "select") and attributes.get("type") != "hidden":
                labelled += "aria-label" in attributes
                assert "aria-label" in attributes or path.startswith("/search")
            if name == "a":
                assert (
                    text
                    or attributes.get("aria-label")
                    or attributes.get("title")
                    or attributes.get("tabindex") == "-1"
                )
        assert labelled


def test_labels_that_change_under_the_browser_are_not_shown(tmp_path, client_of):
    make_label_set(tmp_path, documents=3, chunks=30, candidates=4)
    labels = open_label_set(tmp_path / "labels", tmp_path / "cache")
    make_label_set(tmp_path / "new", documents=2, chunks=45, candidates=2)
    (tmp_path / "new" / "labels" / "part-00000.parquet").replace(tmp_path / "labels" / "part-00000.parquet")
    answer = client_of(labels).get(f"/d/{labels.documents['doc_id'][1]}/20")
    assert answer.status_code == 500
    assert "It changed while it was looked at" in answer.text
