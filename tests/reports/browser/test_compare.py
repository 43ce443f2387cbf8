"""Two versions of labels side by side: both scores of every candidate, what flipped, and what moved most."""

from concurrent.futures import Future

import numpy as np
import polars as pl
import pytest

from benchmarks._label_sets import alter_label_set, make_label_set
from data_contracts.failure import Exit, Failure
from reports.browser import movers_page
from reports.browser.movers_page import compared
from reports.html.formats import number
from reports.labels.label_set import open_label_set


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Version a with 12 candidates; b with 8 of them, other scores, and without the last document."""
    home, rng = tmp_path_factory.mktemp("compared"), np.random.default_rng(0)
    labels = make_label_set(home / "a", documents=4, chunks=60, candidates=12)

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        kept = rows.filter((pl.col("rank") < 8) & (pl.col("doc_id") != rows["doc_id"][-1]))
        noise = pl.Series(rng.normal(0, 8, len(kept)), dtype=pl.Float32)
        return kept.with_columns(candidate_logprob=(pl.col("candidate_logprob") + noise).clip(upper_bound=0))

    alter_label_set(labels, home / "b", change)
    return home


@pytest.fixture(scope="module")
def sets(home):
    return [open_label_set(home / name / "labels", home / "cache") for name in "ab"]


@pytest.fixture(scope="module")
def client(sets, client_of):
    done: Future = Future()
    done.set_result(compared(*sets, movers=20))
    return client_of(*sets, comparison=done)


def own(home, name, key, query):
    rows = pl.read_parquet(home / name / "labels" / "*.parquet")
    found = rows.filter((pl.col("doc_id") == key) & (pl.col("query_chunk") == query))
    return dict(found.select("candidate_chunk", "target_score").iter_rows())


def test_both_scores_of_every_candidate_are_shown(client, parse, sets, home):
    key, flips, single = sets[0].documents["doc_id"][1], 0, 0
    for query in range(30, 40):
        a, b = own(home, "a", key, query), own(home, "b", key, query)
        html = client.get(f"/d/{key}/{query}?full=1").text
        body = html[html.index('<table class="candidates') :]
        for (j, score), row in zip(
            sorted(a.items(), key=lambda pair: -pair[1]), body.split("<tr")[2:], strict=True
        ):
            text = parse(f"<tr{row}").texts[0]
            assert number(score, signed=True) in text
            if j in b:
                flipped = (score > 0) != (b[j] > 0)
                change = number(b[j] - score, signed=True) + ("flipped" if flipped else "")
                assert f"{number(b[j], signed=True)}{change}" in text
                assert ("flipped" in text) == flipped
                flips += flipped
            else:
                assert "only in one" in text
                single += 1
    assert flips >= 3
    assert single == 40


def test_a_document_that_one_version_lacks_is_shown_with_the_other(client, sets):
    key = sets[0].documents["doc_id"][3]
    assert client.get(f"/d/{key}").status_code == 200
    assert "only in one" in client.get(f"/d/{key}/30").text


def test_a_document_shows_both_strips(client, sets):
    html = client.get(f"/d/{sets[0].documents['doc_id'][1]}").text
    assert html.count('class="strip"') == 2
    assert "version 0" in html
    assert "version 1" in html


def test_the_comparison_shows_the_figures_and_leads_to_what_moved_most(client, parse, sets):
    found, page = compared(*sets, movers=20).changes, parse(client.get("/compare").text)
    first = next(attributes["href"] for name, attributes in page.elements if "data-row" in attributes)
    mover = found.best_movers[0]
    assert first == f"/d/{mover.doc_id}/{mover.query_chunk}?c={mover.b.candidate_chunk}"
    assert len([attributes for _, attributes in page.elements if "data-row" in attributes]) == 40
    flips = found.splits["all"].flips
    assert f"{flips.to_positive:,} · {flips.to_negative:,}" in page.texts[0]
    assert client.get(first).status_code == 200


def test_one_version_says_how_to_compare(sets, client_of):
    page = client_of(sets[0]).get("/compare").text
    assert "./rpt labels browse A B" in page
    assert "Compare</a>" not in page


def test_while_it_is_being_compared_the_page_asks_again(sets, client_of, monkeypatch):
    monkeypatch.setattr(movers_page, "PATIENCE", 0.01)
    assert 'http-equiv="refresh"' in client_of(*sets, comparison=Future()).get("/compare").text


def test_a_comparison_that_fails_says_why(sets, client_of):
    failed: Future = Future()
    failed.set_exception(
        Failure("labels over different chunks", "they differ", "use one tokenizer", Exit.USAGE)
    )
    answer = client_of(*sets, comparison=failed).get("/compare")
    assert answer.status_code == 400
    assert "labels over different chunks" in answer.text


def test_other_chunks_are_not_mixed(sets, client_of, tmp_path):
    other = make_label_set(tmp_path, documents=4, chunks=60, candidates=3, text=lambda rng: "other")
    client = client_of(sets[0], open_label_set(other, tmp_path / "cache"))
    answer = client.get(f"/d/{sets[0].documents['doc_id'][0]}/30")
    assert answer.status_code == 500
    assert "cut it into other chunks" in answer.text
