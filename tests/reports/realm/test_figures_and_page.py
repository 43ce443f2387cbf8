"""REALM's figures against sums by hand, and its page, which takes no text for more than text."""

import json

import numpy as np
import pytest

from data_contracts.realm_answers import METHODS, REALM_ANSWERS
from reports.realm.figures import RealmReport, realm_report
from reports.realm.history import read_history
from reports.realm.page import realm_page

QUESTIONS = 20
RNG = np.random.default_rng(0)
TOKENS = RNG.integers(1, 4, QUESTIONS)
LOGPROB = {method: -RNG.random(QUESTIONS) * TOKENS - place for place, method in enumerate(sorted(METHODS))}


def answers():
    rows = [
        {
            "question": question,
            "method": method,
            "doc_id": f"d{question // 2}",
            "kind": "date" if question == 3 else "name",
            "sentence": "s",
            "answer": "a",
            "predicted": "a",
            "exact": (question + place) % 4 == 0,
            "logprob": LOGPROB[method][question],
            "tokens": TOKENS[question],
            "passages": [1],
            "prior": [0.5, 0.5],
            "answer_in": question % 2 == 0,
        }
        for question in range(QUESTIONS)
        for place, method in enumerate(sorted(METHODS))
    ]
    return REALM_ANSWERS.table({name: [row[name] for row in rows] for name in rows[0]}, updates=3)


ROW = {"utility": 0.1, "null": 0.1, "trivial": 2, "version": 1, "built_from": 0}
PROBED = {2: {"recall": 0.9}, 3: {"recall": 0.4, "old_recall": 0.125}}


def history(folder, probed):
    rows = [{"step": n, "loss": 6.0 - n, **ROW, "utility": 0.1 * n, **probed.get(n, {})} for n in (1, 2, 3)]
    (folder / "losses.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_history(folder / "losses.jsonl")


@pytest.fixture
def figures(tmp_path) -> RealmReport:
    return realm_report("books", 30, 40, answers(), history(tmp_path, PROBED), 200, 0)


def test_figures_are_sums_over_questions_and_tokens(figures):
    assert figures.questions == QUESTIONS
    assert figures.documents == 10
    assert figures.kinds == {"date": 1, "name": QUESTIONS - 1}
    for method, found in figures.methods.items():
        assert found.logprob.value == pytest.approx(LOGPROB[method].sum() / TOKENS.sum(), abs=1e-5)
        assert found.exact.value == 0.25
        if method != "realm":
            gain = (LOGPROB["realm"] - LOGPROB[method]).sum() / TOKENS.sum()
            assert found.over.value == pytest.approx(gain, abs=1e-5)
            assert found.over.low < gain < found.over.high
    training = figures.training
    assert training.curves["recall"] == [(2, 0.9), (3, 0.4)]
    assert (training.recall_lowest, training.trivial) == (0.4, 6)
    assert training.utility == pytest.approx(0.2)


def test_the_page_says_what_the_figures_say(figures, parse):
    (text,) = parse(realm_page(figures)).all_text("body")
    for said in (
        "20 questions of 10 documents: 1 date, 19 names.",
        METHODS["start"],
        "12.5 %",
        "1 refresh of the index",
    ):
        assert said in text, said


def test_a_page_without_probes_and_refreshes_says_so(tmp_path, parse):
    figures = realm_report("<b>books</b>", 30, 40, answers(), history(tmp_path, {}), 20, 0)
    (text,) = parse(realm_page(figures)).all_text("body")
    assert "The index was never built anew." in text
    assert "Its recall was never measured." in text
    assert "<b>books</b>" in text
