"""What a trained REALM answers: every row against the model itself, and the files that the stage leaves."""

import json
import shutil

import numpy as np
import pytest

from data_contracts.contract import open_artifact
from data_contracts.realm_answers import METHODS, REALM_ANSWERS
from model.baselines.realm import Realm, first_parameters
from model.parameters import Architecture
from stages.parameters import RealmAnswers
from stages.realm.answering import answer
from stages.realm.answers import candidates, chosen, make_realm_answers
from stages.realm.batches import Data
from stages.realm.bm25 import bm25_ids
from stages.realm.corpus import config_of, read_corpus
from stages.realm.training import Architectures
from tests.stages.realm.conftest import GEOMETRY
from tests.tiny import tiny_realm_start


@pytest.fixture(scope="module")
def corpus(started):
    return read_corpus(started, GEOMETRY, tiny_realm_start())


def test_answers_are_those_of_the_model(corpus):
    config = config_of(tiny_realm_start(), corpus.layout)
    data = Data(chosen(corpus.questions.held_out, 11, seed=0), corpus.passages, corpus.layout)
    architecture, parameters = Architecture.of(Realm, config), first_parameters(config, 0)
    ids = np.arange(22).reshape(11, 2)
    answers = answer(architecture, parameters, data, ids)
    batch = data.batch(np.arange(11), ids)
    outcome = architecture.model(parameters)(batch)
    weights = data.questions.weights_QA
    assert np.allclose(answers.logprobs_QA * weights, np.asarray(outcome.marginal_BA) * weights, atol=1e-4)
    assert np.allclose(answers.prior_QN, np.exp(outcome.prior_BN), atol=1e-5)
    alone = answer(architecture, parameters, data, np.empty((11, 0), int))
    assert np.allclose(alone.logprobs_QA * weights, np.asarray(outcome.given_BNA)[:, 0] * weights, atol=1e-4)


def test_chosen_questions_are_some_of_them_in_their_order(corpus):
    some = chosen(corpus.questions.held_out, 5, seed=1)
    places = [corpus.questions.held_out.sentences.index(sentence) for sentence in some.sentences]
    assert len(some.answers) == len(some.rows_QT) == 5
    assert places == sorted(places)


def test_each_way_of_finding_passages_leaves_trivial_ones_out(corpus):
    train = corpus.questions.train
    data, config = Data(train, corpus.passages, corpus.layout), config_of(tiny_realm_start(), corpus.layout)
    trained, began = (first_parameters(config, seed) for seed in (0, 1))
    found = candidates(data, Architectures.of(config).embedder, (trained, began), 3, seed=0)
    rows = np.arange(len(train.answers))
    assert set(found) == set(METHODS)
    assert not np.array_equal(found["realm"], found["start"])
    for method in ("realm", "start", "bm25", "random"):
        for query, ids in enumerate(found[method].tolist()):
            assert len(set(ids)) == 3, method
            assert not any(data.trivial(rows, query, passage) for passage in ids), method
    assert found["null"].shape == (len(rows), 0)


def test_bm25_finds_the_passage_with_a_rare_word(corpus):
    rows = corpus.passages.rows_XT
    found = bm25_ids(rows, rows[:6], 1, corpus.layout, lambda query, passage: False)
    assert found[:, 0].tolist() == list(range(6))


def test_the_stage_leaves_rows_figures_and_a_page(context_of, started):
    context = context_of("answers")
    shutil.copytree(started / "realm_start", context.inputs / "realm")
    history = [
        {
            "step": step,
            "loss": 5.0,
            "utility": 0.1 * step,
            "null": 0.2,
            "trivial": 1,
            "version": 1,
            "built_from": 0,
        }
        for step in range(1, 5)
    ]
    history[2] |= {"recall": 0.5}
    history[3] |= {"old_recall": 0.25, "version": 2, "built_from": 2}
    (context.inputs / "realm" / "losses.jsonl").write_text("".join(json.dumps(row) + "\n" for row in history))
    make_realm_answers(context, GEOMETRY, RealmAnswers(questions=9, bootstrap_samples=20))
    artifact = open_artifact(REALM_ANSWERS, context.scratch / "realm_answers")
    rows = artifact.read_all().to_pylist()
    assert len(rows) == 5 * 9
    for row in rows:
        assert row["exact"] == (row["predicted"] == row["answer"]) or row["predicted"] == row["answer"]
        assert row["answer"] in row["sentence"]
        assert len(row["passages"]) == (0 if row["method"] == "null" else 2)
    report = json.loads((context.scratch / "realm_report" / "report.json").read_text())
    for method, figures in report["methods"].items():
        own = [row for row in rows if row["method"] == method]
        assert figures["exact"]["value"] == pytest.approx(np.mean([row["exact"] for row in own]), abs=1e-5)
        per_token = sum(row["logprob"] for row in own) / sum(row["tokens"] for row in own)
        assert figures["logprob"]["value"] == pytest.approx(per_token, abs=1e-5)
        if method != "realm":
            gain = report["methods"]["realm"]["logprob"]["value"] - figures["logprob"]["value"]
            assert figures["over"]["value"] == pytest.approx(gain, abs=1e-5)
    assert report["training"]["refreshes"] == [{"step": 4, "built_from": 2, "old_recall": 0.25}]
    assert report["training"]["recall_lowest"] == 0.5
    page = (context.scratch / "realm_report" / "index.html").read_text()
    assert "REALM: demo" in page
    assert "25.0 %" in page
