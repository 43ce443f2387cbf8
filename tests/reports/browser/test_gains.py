"""Gains of tokens come from the reference LM that lies beside labels made by the real stages, and add up to
them.
"""

import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest

from data_contracts.failure import Failure
from flows.labels.browser import LazyReferenceLM
from reports.browser.gains import WAITING, Gains
from reports.browser.library import LabelLibrary
from reports.html.formats import number
from reports.labels.label_set import open_label_set
from reports.site.drawing import TOKEN_STEPS, step
from stages.scoring.token_gains import TokenGains

KEY = "00112233445566ff"
QUERY = 41


@pytest.fixture(scope="module", autouse=True)
def environment():
    """As it was afterwards: a reference LM that is asked for its first gain adds to it."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="module")
def client(scored, client_of):
    return client_of(
        open_label_set(scored / "labels", scored / "cache"),
        scorers=(LazyReferenceLM(scored / "reference_lm"),),
    )


@pytest.fixture(scope="module")
def rows(scored):
    return pl.read_parquet(scored / "labels" / "*.parquet").filter(pl.col("query_chunk") == QUERY)


def test_every_candidate_gets_its_own_gains(client, rows, scored):
    chunks = [ids.to_numpy() for ids in pl.read_parquet(scored / "chunks" / "*.parquet")["token_ids"]]
    expected = TokenGains(scored / "reference_lm").gains(chunks, QUERY, rows["candidate_chunk"].to_list())
    assert len(rows) == 9
    for row, gains in zip(rows.iter_rows(named=True), expected, strict=True):
        painted = client.get(f"/gains/{KEY}/{QUERY}?c={row['candidate_chunk']}").json()
        assert painted["gains"] == [number(float(gain), signed=True) for gain in gains]
        assert painted["steps"] == [step(gain, TOKEN_STEPS) for gain in gains]
        assert (
            painted["words"]
            == f"The tokens' gains add up to {number(row['target_score'], signed=True)} nats, as the label"
            " says."
        )
        assert np.isclose(gains.sum(), row["target_score"], atol=1e-3)


def test_the_target_is_cut_at_its_tokens(client, parse, scored):
    chunks = pl.read_parquet(scored / "chunks" / "*.parquet")
    html = client.get(f"/d/{KEY}/{QUERY}").text
    page = parse(html)
    assert page.all_text("div", "chunk tokens") == [chunks["text"][QUERY + 1]]
    inside = html[html.index('class="chunk tokens"') :]
    assert inside[: inside.index("</div>")].count("<span>") == 16
    assert re.search(rf'data-gains="/gains/{KEY}/{QUERY}\?c=\d+"', html)


def test_without_a_script_the_page_waits_for_them(client, parse):
    page = parse(client.get(f"/d/{KEY}/{QUERY}").text)
    address = next(
        attributes["href"]
        for name, attributes in page.elements
        if name == "a" and "wait" in (attributes["href"] or "")
    )
    html = client.get(address).text
    chosen = re.search(r'aria-label="candidate 1, chunk (\d+)"', html)[1]
    painted = client.get(f"{address.replace('/d/', '/gains/')}&c={chosen}").json()
    spans = re.findall(
        r'<span class="(\w+)" title="([^"]+)">', html[html.index("chunk tokens") : html.index("The tokens")]
    )
    assert spans == list(zip(painted["steps"], painted["gains"], strict=True))
    assert painted["words"].replace("'", "&#x27;") in html


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        (f"/gains/{KEY}/{QUERY}", 400, "c names a candidate's chunk"),
        (f"/gains/{KEY}/{QUERY}?c=x", 400, "a whole number"),
        (f"/gains/{KEY}/{QUERY}?c=41", 400, "is no candidate of query 41"),
        (f"/gains/{KEY}/{QUERY}?c=1&set=1", 400, "one of the label sets"),
        (f"/gains/{KEY}/0?c=1", 400, "is no candidate"),
        (f"/gains/{KEY}/999?c=1", 404, "has chunks 0 to"),
        ("/gains/nothing/1?c=1", 404, "none with this id"),
    ],
)
def test_what_cannot_be_scored_is_explained(client, address, status, words):
    answer = client.get(address)
    assert answer.status_code == status
    assert words in answer.json()["error"]


def test_without_a_reference_lm_the_page_says_so(client_of, scored, parse, rows):
    client = client_of(open_label_set(scored / "labels", scored / "cache"))
    page = parse(client.get(f"/d/{KEY}/{QUERY}").text)
    assert "Gains of tokens need the reference LM" in page.texts[0]
    assert not [attributes for _, attributes in page.elements if "data-gains" in attributes]
    assert (
        "no reference LM"
        in client.get(f"/gains/{KEY}/{QUERY}?c={rows['candidate_chunk'][0]}").json()["error"]
    )


def test_another_reference_lm_is_told_from_the_one_that_made_the_labels(client_of, scored, tmp_path, rows):
    from model import gpt_neox, gpt_neox_files
    from model.decoder_config import read_config

    config = read_config(scored / "reference_lm")
    gpt_neox_files.save(tmp_path, config, gpt_neox.init(config, 4))
    (tmp_path / "tokenizer.json").write_bytes((scored / "reference_lm" / "tokenizer.json").read_bytes())
    client = client_of(
        open_label_set(scored / "labels", scored / "cache"), scorers=(LazyReferenceLM(tmp_path),)
    )
    words = [
        client.get(f"/gains/{KEY}/{QUERY}?c={chunk}").json()["words"] for chunk in rows["candidate_chunk"]
    ]
    assert sum("this reference LM is not the one that made it" in said for said in words) >= 5


def test_a_reference_lm_that_cannot_score_is_an_error_that_says_why(client_of, scored, tmp_path, rows):
    (tmp_path / "tokenizer.json").write_bytes((scored / "reference_lm" / "tokenizer.json").read_bytes())
    (tmp_path / "config.json").write_text("{}")
    client = client_of(
        open_label_set(scored / "labels", scored / "cache"), scorers=(LazyReferenceLM(tmp_path),)
    )
    answer = client.get(f"/gains/{KEY}/{QUERY}?c={rows['candidate_chunk'][0]}")
    assert answer.status_code == 500
    assert "cannot score" in answer.json()["error"]
    assert client.get(f"/d/{KEY}/{QUERY}?gains=wait").status_code == 500
    assert client.get(f"/d/{KEY}/{QUERY}").status_code == 200


def test_a_tokenizer_that_cannot_be_read_is_said_and_the_labels_are_shown(client_of, scored, tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    client = client_of(
        open_label_set(scored / "labels", scored / "cache"), scorers=(LazyReferenceLM(tmp_path),)
    )
    answer = client.get(f"/d/{KEY}/{QUERY}")
    assert answer.status_code == 200
    assert "No gains of tokens: the tokenizer" in answer.text


class SlowLM:
    """Scores when it is let."""

    reads_text = False

    def __init__(self):
        self.let, self.scored = threading.Event(), []

    def pieces(self, chunks, chunk):
        return []

    def gains(self, chunks, query, candidates):
        self.let.wait(60)
        self.scored.append(query)
        return np.zeros((len(candidates), 16), np.float32)


def test_a_slow_reference_lm_holds_up_nothing_but_the_last_questions(scored):
    labels, slow = open_label_set(scored / "labels", scored / "cache"), SlowLM()
    library = LabelLibrary([labels], ["x"], [slow])
    gains, document = Gains(library), library.document(KEY)

    def ask(query):
        return gains.of(document, query, document.candidates(query)[0].chunk)

    with ThreadPoolExecutor(30) as pool:
        asked = []
        for query in range(30, 60):
            asked.append(pool.submit(ask, query))
            while gains._asked < len(asked):
                time.sleep(0.001)
        refused = [future for future in asked[1:-WAITING] if isinstance(future.exception(30), Failure)]
        assert len(refused) == 30 - 1 - WAITING
        assert not [future for future in (asked[0], *asked[-WAITING:]) if future.done()]
        slow.let.set()
        assert [len(future.result(30)) for future in (asked[0], *asked[-WAITING:])] == [16] * (1 + WAITING)
    assert sorted(slow.scored) == [30, *range(60 - WAITING, 60)]


def test_the_colours_are_those_of_tokens(scored, monkeypatch):
    library = LabelLibrary([open_label_set(scored / "labels", scored / "cache")], ["x"], [None])
    gains, document = Gains(library), library.document(KEY)
    monkeypatch.setattr(
        gains, "of", lambda *_: np.array([0.01, 0.06, 0.3, 1.5, -0.06, -0.3, -1.5], np.float32)
    )
    assert gains.painted(document, QUERY, document.candidates(QUERY)[0], 0).steps == [
        "z",
        "p1",
        "p2",
        "p3",
        "n1",
        "n2",
        "n3",
    ]
