"""A search finds exactly what is there, part by part, and says when it was cut."""

from dataclasses import replace

import polars as pl
import pytest

from reports.browser import search as module
from reports.browser.library import LabelLibrary
from reports.browser.search import search
from reports.browser.search_page import _marked
from reports.site.address import Question


@pytest.fixture(scope="module")
def library(label_set):
    return LabelLibrary([label_set], ["x"], [None])


@pytest.fixture(scope="module")
def chunks(home, label_set):
    """Every chunk with its best candidate, computed from the files."""
    chunks = pl.read_parquet(home / "chunks" / "*.parquet").select("doc_id", "split", "chunk", "text")
    labels = pl.read_parquet(home / "labels" / "*.parquet").sort("rank", maintain_order=True)
    best = labels.group_by("doc_id", "query_chunk").agg(
        best=pl.col("target_score").max(),
        best_rank=pl.col("rank").filter(pl.col("target_score") == pl.col("target_score").max()).first(),
        back=(pl.col("query_chunk") - pl.col("candidate_chunk")).get(pl.col("target_score").arg_max()),
        first=pl.col("target_score").filter(pl.col("rank") == 0).first(),
    )
    sources = label_set.documents.select("doc_id", "source")
    with_best = chunks.join(
        best,
        left_on=["doc_id", "chunk"],
        right_on=["doc_id", "query_chunk"],
        how="left",
        maintain_order="left",
    )
    return with_best.join(sources, on="doc_id", how="left", maintain_order="left")


def everything(library, question):
    """All hits, going on until there is no rest."""
    hits = []
    while question:
        found = search(library, question)
        hits += [(hit.source, hit.chunk) for hit in found.hits]
        question = found.rest
    return hits


@pytest.fixture(scope="module")
def pairs(home, label_set):
    """Every pair, from the files."""
    labels = pl.read_parquet(home / "labels" / "*.parquet").join(
        label_set.documents.select("doc_id", "source"), on="doc_id", maintain_order="left"
    )
    texts = pl.read_parquet(home / "chunks" / "*.parquet").select("doc_id", "text", query_chunk="chunk")
    joined = labels.join(texts, on=["doc_id", "query_chunk"], maintain_order="left")
    return joined.with_columns(back=pl.col("query_chunk") - pl.col("candidate_chunk"))


SCORE, OWN = pl.col("target_score"), pl.col("source") == "book-00003.txt"
OF_PAIRS = [
    (Question(kind="pairs", low=8.0), SCORE >= 8.0),
    (Question(kind="pairs", low=-0.4, high=0.4, source="00003"), OWN & SCORE.is_between(-0.4, 0.4)),
    (Question(kind="pairs", near=50, sign="negative"), (pl.col("back") >= 50) & (SCORE <= 0)),
    (Question(kind="pairs", far=5, moved=9), (pl.col("back") <= 5) & (pl.col("rank") >= 9)),
    (
        Question(kind="pairs", q="model which", low=5.0),
        pl.col("text").str.contains("model which") & (SCORE >= 5),
    ),
]


@pytest.mark.parametrize(("question", "condition"), OF_PAIRS, ids=lambda case: str(case)[:60])
@pytest.mark.parametrize("most", [50, 3])
def test_pairs_are_those_of_the_files(library, pairs, monkeypatch, question, condition, most):
    monkeypatch.setattr(module, "HITS", most)
    found = []
    while question:
        answer = search(library, question)
        found += [(hit.source, hit.chunk, hit.candidate, hit.best) for hit in answer.hits]
        question = answer.rest
    wanted = pairs.filter(condition).select("source", "query_chunk", "candidate_chunk", "target_score")
    assert len(wanted) > 3
    assert found == list(wanted.iter_rows())


def test_pairs_in_the_order_of_bm25s_first_are_first_ones(library, pairs):
    found = [(hit.chunk, hit.first) for hit in search(library, Question(kind="pairs", order="first")).hits]
    first = pairs.filter(pl.col("rank") == 0).sort("target_score", maintain_order=True)
    assert found == list(first.select("query_chunk", "target_score").head(module.HITS).iter_rows())


def test_a_bound_that_is_no_number_is_refused(client):
    for bound in ("low=1e10", "high=nan", "low=-inf", "low=much", "near=-1", "far=1.5", "kind=rows"):
        assert client.get(f"/search?{bound}").status_code == 400, bound


def test_the_form_keeps_its_bounds_and_hits_say_the_distance(client, parse):
    page = parse(client.get("/search?kind=pairs&low=-0.5&high=0&near=30").text)
    boxes = {attributes.get("name"): attributes.get("value") for _, attributes in page.elements}
    assert (boxes["low"], boxes["high"], boxes["near"], boxes["far"]) == ("-0.5", "0.0", "30", None)
    abouts = page.all_text("span", "about")
    assert abouts
    assert all(int(about.split(" chunks back")[0].split()[-1]) >= 30 for about in abouts)


def test_what_the_form_is_given_is_what_it_keeps(client, parse):
    for given, kept in ((".5", "0.5"), ("5.", "5.0"), ("1.23456", "1.23456"), ("1e3", "1000.0")):
        page = parse(client.get(f"/search?low={given}").text)
        boxes = {attributes.get("name"): attributes.get("value") for _, attributes in page.elements}
        assert boxes["low"] == kept


def test_the_count_of_an_ordered_list_is_no_total(client, parse):
    def said(address):
        return next(text for text in parse(client.get(address).text).all_text("p", "note") if "each" in text)

    assert said("/search?order=best").startswith("The first 50 queries, each")
    few = said("/search?order=best&low=6.5&source=00003")
    assert few.split()[0].isdigit()


def test_a_document_links_to_all_of_its_queries(client, parse, label_set):
    """An order would cut them."""
    own = label_set.documents["doc_id"][0]
    ways = [attributes.get("href") for _, attributes in parse(client.get(f"/d/{own}").text).elements]
    assert f"/search?source={own}" in ways


def expected(chunks, condition):
    return list(chunks.filter(condition).select("source", "chunk").iter_rows())


QUERY = pl.col("best").is_not_null()
HELD = pl.col("text").str.contains("which")
CASES = [
    (Question(q="QUERY model"), pl.col("text").str.contains("query model")),
    (Question(q="NAÏVE the"), pl.col("text").str.contains("naïve the")),
    (Question(q="a", split="test"), pl.col("text").str.contains("a") & (pl.col("split") == "test")),
    (
        Question(q="the", source="BOOK-00004"),
        pl.col("text").str.contains("the") & (pl.col("source") == "book-00004.txt"),
    ),
    (Question(q="which of", sign="positive"), pl.col("text").str.contains("which of") & (pl.col("best") > 0)),
    (Question(q="which", sign="negative"), pl.col("text").str.contains("which") & (pl.col("best") <= 0)),
    (Question(q="a", moved=10), pl.col("text").str.contains("a") & (pl.col("best_rank") >= 10)),
    (Question(sign="negative"), pl.col("best") <= 0),
    (Question(moved=11), pl.col("best_rank") >= 11),
    (Question(low=6.5), pl.col("best") >= 6.5),
    (Question(low=-0.5, high=2.0), pl.col("best").is_between(-0.5, 2.0)),
    (Question(high=0.0, split="train"), (pl.col("best") <= 0.0) & (pl.col("split") == "train")),
    (Question(near=40), pl.col("back") >= 40),
    (Question(near=5, far=7), pl.col("back").is_between(5, 7)),
    (Question(q="which", low=4.0, far=9), HELD & (pl.col("best") >= 4.0) & (pl.col("back") <= 9)),
    (Question(split="validation"), QUERY & (pl.col("split") == "validation")),
    (Question(q=".*"), pl.lit(False)),
    (Question(q="\x00"), pl.lit(False)),
    (Question(q="nowhere"), pl.lit(False)),
]


@pytest.mark.parametrize(("question", "condition"), CASES, ids=lambda case: str(case)[:60])
def test_hits_are_those_of_the_files(library, chunks, question, condition):
    assert everything(library, question) == expected(chunks, condition)


MANY = [Question(q="the"), Question(sign="positive"), Question(q="the", sign="positive", moved=3)]
FEW = [
    Question(q="query model"),
    Question(sign="positive", moved=10),
    Question(q="the", sign="positive", moved=9),
]


@pytest.mark.parametrize(
    ("question", "hits"), [*((question, 7) for question in MANY), *((question, 1) for question in FEW)]
)
def test_going_on_misses_and_repeats_nothing(library, monkeypatch, question, hits):
    whole = everything(library, question)
    monkeypatch.setattr(module, "HITS", hits)
    assert len(whole) > 20 * hits
    assert everything(library, question) == whole


def test_without_time_one_file_is_searched_and_it_says_so(library, monkeypatch):
    whole = everything(library, Question(q="query model"))
    monkeypatch.setattr(module, "SECONDS", 0)
    found = search(library, Question(q="nowhere"))
    assert (found.searched, found.shards, found.hits) == (1, 3, [])
    assert found.rest == Question(q="nowhere", shard=1)
    assert everything(library, Question(q="query model")) == whole


def test_a_cut_is_said_on_the_page(client, monkeypatch):
    assert "files were searched" not in client.get("/search?q=nowhere").text
    monkeypatch.setattr(module, "SECONDS", 0)
    page = client.get("/search?q=nowhere").text
    assert "1 of 3 files were searched" in page
    assert 'href="/search?q=nowhere&amp;shard=1"' in page


@pytest.mark.parametrize(
    ("order", "column", "descending"),
    [("best", "best", True), ("worst", "best", False), ("first", "first", False)],
)
@pytest.mark.parametrize("text", ["", "which"])
def test_an_order_takes_the_foremost_of_all(library, chunks, order, column, descending, text):
    found = search(library, Question(q=text, order=order))
    asked = chunks.filter(QUERY & pl.col("text").str.contains(text, literal=True)).sort(
        column, descending=descending, maintain_order=True
    )
    assert [(hit.source, hit.chunk) for hit in found.hits] == list(
        asked.head(module.HITS).select("source", "chunk").iter_rows()
    )
    assert [getattr(hit, column) for hit in found.hits] == asked.head(module.HITS)[column].to_list()
    assert found.rest is None


def test_a_hit_shows_its_text_or_its_target(library, home, label_set):
    texts = {
        row[:2]: row[2]
        for row in (
            pl.read_parquet(home / "chunks" / "*.parquet").select("doc_id", "chunk", "text").iter_rows()
        )
    }
    for hit in search(library, Question(q="query model")).hits:
        assert hit.text == texts[hit.doc_id, hit.chunk]
    for hit in search(library, Question(order="best")).hits:
        assert hit.text == texts[hit.doc_id, hit.chunk + 1]


def test_an_excerpt_begins_at_most_a_line_before_what_was_found():
    parts = _marked("one\n\n\ntwo\nthree, a Query model", "query model")
    assert "".join(parts) == "…two\nthree, a <strong>Query model</strong>"
    assert _marked("a Query model", "query model")[:2] == ["", "a "]


def test_the_page_marks_what_was_found(client, parse):
    page = parse(client.get("/search?q=QUERY+model").text)
    assert set(page.all_text("strong")) == {"query model"}
    boxes = [attributes.get("value") for name, attributes in page.elements if attributes.get("name") == "q"]
    assert boxes == ["QUERY model"] * 2


def test_damage_is_an_error_not_an_empty_answer(tmp_path, client_of):
    from benchmarks._label_sets import make_label_set
    from reports.labels.label_set import open_label_set

    labels = open_label_set(
        make_label_set(tmp_path, documents=2, chunks=30, candidates=3), tmp_path / "cache"
    )
    victim = tmp_path / "chunks" / "part-00000.parquet"
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 0xFF
    victim.write_bytes(data)
    answer = client_of(labels).get("/search?q=the")
    assert answer.status_code == 500
    assert "does not keep contract" in answer.text


def test_a_question_survives_its_address():
    question = Question(
        q="a b&c=d",
        source="x/y",
        split="test",
        sign="negative",
        moved=3,
        kind="pairs",
        low=-1.25,
        high=0.0,
        far=9,
        shard=2,
        row=5,
    )
    from urllib.parse import parse_qsl

    assert Question.of(dict(parse_qsl(question.link().partition("?")[2]))) == question
    assert (
        replace(question, shard=0, row=0).link()
        == "/search?q=a+b%26c%3Dd&source=x%2Fy&split=test&sign=negative&moved=3"
        "&kind=pairs&low=-1.25&high=0.0&far=9"
    )


def test_going_on_in_one_file_reads_the_later_ones_from_their_beginning(library, monkeypatch):
    monkeypatch.setattr(module, "HITS", 10**6)
    whole = search(library, Question(q="the")).hits
    shards = dict(library.documents.select("key", "shard").iter_rows())
    first = shards[whole[0].key]
    behind = [hit for hit in whole if shards[hit.key] != first]
    assert 0 < len(behind) < len(whole)
    assert search(library, Question(q="the", row=10**6)).hits == behind
