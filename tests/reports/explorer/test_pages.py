"""Pages hold what the tables say, every colour what its figure says, and every way leads where its
key does.
"""

import re
import shutil

import numpy as np
import polars as pl
import pytest

from reports.browser.candidate_table import NONE
from reports.explorer.document_page import LOSS_STEPS
from reports.explorer.library import Library
from reports.explorer.run import Reading
from reports.html.formats import number
from reports.site import drawing
from tests.reports.served_pages import explorer_client, keyed, table

OURS, THEIRS = Reading("a-rpt_sem"), Reading("a-transformer_xl")
CHUNK = 40


@pytest.fixture(scope="module")
def document(library):
    return library.document(library.documents["key"][0])


@pytest.fixture(scope="module")
def path(document):
    return f"/d/{document.facts.key}"


def row_of(rows, document, reading, chunk=CHUNK):
    own = (pl.col("run") == reading.run) & (pl.col("setting") == reading.setting) & (pl.col("chunk") == chunk)
    return rows.filter(own & (pl.col("doc_id") == document.facts.doc_id)).row(0, named=True)


def test_the_list_has_the_perplexities_and_the_gains(client, parse, library):
    page = parse(client.get("/").text)
    for cells, run in zip(table(page, "systems"), library.runs.values(), strict=True):
        assert cells[:2] == [run.name, run.system]
        known = [number(run.perplexity(reading.setting), 2) for reading in run.readings]
        assert [cell for cell in cells[5:] if cell != NONE] == known
    figures = library.figures(OURS, THEIRS)
    for cells, loss, gain in zip(table(page, "documents"), figures["loss"], figures["gain"], strict=True):
        assert cells[3:] == [f"{number(loss, 3)} loss", f"{number(gain, 3, signed=True)} gain"]


def test_documents_are_filtered_and_the_reading_stays(client, parse, library):
    page = parse(client.get("/?find=heapq&show=a-retro%3Asecond").text)
    assert page.all_text("code") == [library.documents["doc_id"][0]]
    assert "show=a-retro%3Asecond" in keyed(page, "x") or "against=a-retro%3Asecond" in keyed(page, "x")
    assert "No document is like that" in client.get("/?find=nothing").text


@pytest.mark.parametrize("query", ["", "?show=a-rpt_sem&against=a-rpt_sem%3Anone", "?show=a-retro"])
def test_a_document_is_a_strip_of_gains(client, document, path, query):
    readings = {"": (OURS, THEIRS), "?show=a-retro": (Reading("a-retro"), THEIRS)}.get(
        query, (OURS, Reading("a-rpt_sem", "none"))
    )
    gain = document.gain(*readings)
    cells = re.findall(
        r'class="cell (\w+)" title="chunk (\d+): gain (\S+) nats', client.get(path + query).text
    )
    expected = [
        (drawing.step(float(value)), str(chunk), drawing.score(float(value)))
        for chunk, value in enumerate(gain)
    ]
    assert cells == expected
    assert cells[-1][0] == drawing.UNLABELLED


def test_a_document_is_coloured_by_loss_when_asked(client, parse, document, path):
    assert keyed(parse(client.get(path).text), "c") == f"{path}?colour=loss"
    loss = document.losses[OURS] / np.maximum(document.tokens[OURS], 1)
    kinds = re.findall(r'class="cell (\w+)" title="chunk', client.get(f"{path}?colour=loss").text)
    mean = np.nanmean(loss)
    assert kinds == [drawing.step(float(mean - value), LOSS_STEPS) for value in loss]
    assert kinds[int(np.nanargmax(loss))] == "n3"


def test_b_and_w_walk_from_the_extremes(client, parse, document, path):
    gain = document.gain(OURS, THEIRS)
    order = np.argsort(-gain[:-1], kind="stable")
    page = parse(client.get(path).text)
    for key, expected in (("b", order[:3]), ("w", order[::-1][:3])):
        address = keyed(page, key)
        for chunk in expected:
            assert address == f"{path}/{chunk}"
            address = keyed(parse(client.get(address).text), key)


def test_the_target_is_coloured_by_the_difference_of_two_readings(client, parse, rows, document, path):
    for query, readings in (
        ("", (OURS, THEIRS)),
        ("?against=a-rpt_sem%3Anone", (OURS, Reading("a-rpt_sem", "none"))),
    ):
        ours, theirs = (row_of(rows, document, reading) for reading in readings)
        gains = np.array(theirs["token_losses"]) - np.array(ours["token_losses"])
        html = client.get(f"{path}/{CHUNK}{query}").text
        spans = re.findall(r'<span class="([nzp]\d?)" title="([^"]*)">', html)
        assert spans == [
            (drawing.step(float(gain), drawing.TOKEN_STEPS), drawing.score(float(gain), 3)) for gain in gains
        ]
        page = parse(html)
        assert document.texts[CHUNK + 1] in page.all_text("div", "chunk tokens")
        figures = re.search(r'<details class="figures">.*?</details>', html, re.DOTALL)[0]
        cells = [re.sub("<[^>]*>", "", cell) for cell in re.findall(r'<td class="n">(.*?)</td>', figures)]
        losses = zip(ours["token_losses"], theirs["token_losses"], gains, strict=True)
        assert cells == [
            text
            for a, b, gain in losses
            for text in (number(a, 3), number(b, 3), drawing.score(float(gain), 3))
        ]


def test_every_reading_has_its_loss_and_what_it_read(client, parse, rows, library, document, path):
    page = parse(client.get(f"{path}/{CHUNK}").text)
    base = row_of(rows, document, THEIRS)["loss"]
    for cells, reading in zip(table(page, "losses"), library.readings, strict=True):
        row = row_of(rows, document, reading)
        assert cells[0] == " ".join([reading.run, *([reading.setting] if reading.setting != "own" else [])])
        assert cells[1] == (" · ".join(map(str, row["retrieved"])) or NONE)
        assert cells[2] == number(row["loss"], 2)
        assert cells[4] == (NONE if reading == THEIRS else drawing.score(base - row["loss"]))


def test_neighbours_have_scores_gates_and_what_they_were_worth(client, parse, rows, document, path):
    page = parse(client.get(f"{path}/{CHUNK}").text)
    own, none, first, second = (
        row_of(rows, document, Reading("a-rpt_sem", name)) for name in ("own", "none", "first_1", "second")
    )
    shown = table(page, "neighbours")
    assert [cells[2] for cells in shown[: len(own["ranking"])]] == [
        f"rank {place}" for place in range(len(own["ranking"]))
    ]
    assert [cells[3] for cells in shown[:3]] == [f"score {number(score, 2)}" for score in own["scores"][:3]]
    assert [cells[4] for cells in shown[:3]] == [
        *(f"gate {number(gate, 2)}" for gate in own["gates"]),
        f"gate {NONE}",
    ]
    assert [cells[5] for cells in shown[:2]] == [
        f"alone {drawing.score(none['loss'] - one['loss'])}" for one in (first, second)
    ]
    assert [cells[6] for cells in shown[:2]] == [
        f"left out {drawing.score(one['loss'] - own['loss'])}" for one in (second, first)
    ]
    for cells, j in zip(shown, own["ranking"], strict=False):
        assert cells[10:] == [document.texts[j], document.texts[j + 1]]
        assert int(cells[9]) == CHUNK - j


def test_bm25_and_the_oracle_stand_among_the_takers(client, parse, corpus, document, path):
    own = (pl.col("doc_id") == document.facts.doc_id) & (pl.col("query_chunk") == CHUNK)
    candidates = (
        pl.read_parquet(corpus / "candidates" / "*.parquet")
        .filter(own & (pl.col("query_form") == "q"))
        .sort("rank")
    )
    labels = (
        pl.read_parquet(corpus / "labels" / "*.parquet").filter(own).sort("target_score", descending=True)
    )
    takers = {int(chunk): names for chunk, names in takers_of(client.get(f"{path}/{CHUNK}?by=bm25").text)}
    assert {chunk for chunk, names in takers.items() if "BM25" in names} == set(
        candidates["candidate_chunk"][:2]
    )
    positive = labels.filter(pl.col("target_score") > 0)["candidate_chunk"][:2]
    assert {chunk for chunk, names in takers.items() if "oracle" in names} == set(positive)
    scored = {cells[7] for cells in table(parse(client.get(f"{path}/{CHUNK}?by=s_t").text), "neighbours")}
    assert f"s_t {drawing.score(labels['target_score'][0])}" in scored


def takers_of(html):
    for row in re.findall(r'<tr[^>]*><th scope="row"><a.*?</tr>', html, re.DOTALL):
        if chunk := re.search(r'aria-label="neighbour \d+, chunk (\d+)"', row):
            yield chunk[1], re.findall(r'<span class="split"><bdi>([^<]*)', row)


def test_a_neighbour_is_chosen_and_its_texts_stand_beside_the_target(client, parse, rows, document, path):
    j = row_of(rows, document, OURS)["ranking"][2]
    page = parse(client.get(f"{path}/{CHUNK}").text)
    assert keyed(page, "3") == f"{path}/{CHUNK}?c={j}"
    texts = parse(client.get(f"{path}/{CHUNK}?c={j}").text).all_text("div", "chunk")
    assert texts[:3] == [document.texts[CHUNK], document.texts[j], document.texts[j + 1]]


def test_the_keys_of_the_comparison_change_one_thing(client, parse, path):
    page = parse(client.get(f"{path}/{CHUNK}?c=3&full=1").text)
    ways = {
        key: dict(part.split("=") for part in keyed(page, key).partition("?")[2].split("&")) for key in "seax"
    }
    kept = {"c": "3", "full": "1"}
    assert ways["s"] == {"show": "a-transformer_xl", "against": "a-transformer_xl", **kept}
    assert ways["e"] == {"show": "a-rpt_sem%3Anone", "against": "a-transformer_xl", **kept}
    assert ways["a"] == {"show": "a-rpt_sem", "against": "a-rpt_sem%3Anone", **kept}
    assert ways["x"] == {"show": "a-transformer_xl", "against": "a-rpt_sem", **kept}


def test_ways_through_chunks_and_documents(client, parse, library, path):
    keys = library.documents["key"]
    page = parse(client.get(f"{path}/{CHUNK}?sort=-chunks&by=s_t&show=a-retro").text)
    assert keyed(page, "j") == f"{path}/{CHUNK + 1}?sort=-chunks&show=a-retro&by=s_t"
    assert keyed(page, "k") == f"{path}/{CHUNK - 1}?sort=-chunks&show=a-retro&by=s_t"
    assert keyed(page, "d") == f"{path}?sort=-chunks&show=a-retro&by=s_t&c={CHUNK}"
    order = library.documents.sort("chunks", descending=True, maintain_order=True)["key"].to_list()
    at = order.index(keys[0])
    for key, place in (("p", at - 1), ("n", at + 1)):
        expected = f"/d/{order[place]}?sort=-chunks&show=a-retro&by=s_t" if 0 <= place < len(order) else None
        assert keyed(page, key) == expected


def test_chunks_at_the_ends_of_a_document(client, parse, document, path):
    first = parse(client.get(f"{path}/0").text)
    assert keyed(first, "k") is None
    assert any("too little lies before it" in text for text in first.all_text("p", "note"))
    last = parse(client.get(f"{path}/{len(document.texts) - 1}").text)
    assert keyed(last, "j") is None
    assert any("nothing follows it" in text for text in last.all_text("p", "note"))


def test_a_chunk_for_which_nothing_was_retrieved_does_not_say_that_nothing_could_be(corpus, tmp_path, parse):
    for name in ("documents", "chunks", "evaluations/a-transformer_xl"):
        shutil.copytree(corpus / name, tmp_path / "x" / name)
    library = Library(tmp_path / "x", tmp_path, None)
    client, path = explorer_client(library), f"/d/{library.documents['key'][0]}"
    assert "Nothing was retrieved for this chunk." in parse(client.get(f"{path}/{CHUNK}").text).all_text(
        "p", "note"
    )
    assert any(
        "too little lies before it" in text
        for text in parse(client.get(f"{path}/0").text).all_text("p", "note")
    )


def test_a_corpus_without_a_tokenizer_has_the_table_of_tokens(corpus, tmp_path, parse):
    library = Library(corpus, corpus / "index", None)
    html = explorer_client(library).get(f"/d/{library.documents['key'][0]}/{CHUNK}").text
    assert "Colours need the corpus&#x27;s tokenizer" in html
    assert html.count('<td class="n">') > 3 * 60


def test_the_help_names_every_key_of_the_pages(client, library):
    path = f"/d/{library.documents['key'][1]}"
    pages = "".join(client.get(address).text for address in ("/?find=Lib", path, f"{path}/{CHUNK}"))
    used = set(re.findall(r'data-key="([^"]+)"', pages)) - set("123456789")
    listed = set(re.findall(r"<dt><kbd>(.*?)</kbd>", client.get("/help").text))
    assert used <= listed
    assert listed - used == {"1 … 9", "/"}


def test_an_unknown_reading_names_the_known_ones(client):
    said = client.get("/?show=nothing").text
    assert "a-rpt_sem:oracle" in said
