"""The stage as a whole with a real untrained model: the tokens of its evaluation, with weights from other
documents.
"""

import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from data_contracts.candidates import CANDIDATES
from data_contracts.ceilings import CEILINGS, MIXTURES
from data_contracts.contract import fact, open_artifact
from data_contracts.evaluations import EVALUATIONS
from data_contracts.tokens import CHUNKS
from stages.evaluation import ceilings
from stages.evaluation.ceiling_mixtures import Mixer
from stages.evaluation.ceilings import fitting_texts, measure_ceilings, training_text
from stages.evaluation.evaluation import evaluate
from stages.parameters import Evaluation, Run
from stages.runner.stage import Context
from stages.training.systems import config_of
from tests.stages.artifacts import write_artifact, write_model, write_tokenizer
from tests.stages.stopped import written
from tests.tiny import tiny_context, tiny_recipe, tiny_training

EVALUATION = Evaluation(max_tokens_per_document=150)


def text(seed: int, vocabulary: int, length: int = 170) -> np.ndarray:
    """A phrase again and again, and other tokens between."""
    rng = np.random.default_rng(seed)
    parts = [np.concatenate((rng.integers(1, vocabulary, 4), np.arange(1, 9))) for _ in range(20)]
    return np.concatenate(parts)[:length]


@pytest.fixture
def make_context(tmp_path, make_chunks, geometry):
    def make(changed: dict[str, np.ndarray] | None = None, name: str = "a") -> Context:
        place = tmp_path / name
        vocabulary = write_tokenizer(place).get_vocab_size()
        splits = {"train": "t", "validation": "v", "test": "de"}
        documents = {
            letter * 16: (split, text(ord(letter), vocabulary))
            for split, letters in splits.items()
            for letter in letters
        }
        documents = {
            doc_id: (split, (changed or {}).get(doc_id, tokens))
            for doc_id, (split, tokens) in documents.items()
        }
        last = {"e" * 16: documents.pop("e" * 16)}
        write_artifact(CHUNKS, place / "chunks", make_chunks(documents), make_chunks(last))
        facts = {"stride_chunks": geometry.stride_chunks, "sequence_chunks": geometry.sequence_chunks}
        write_artifact(
            CANDIDATES,
            place / "candidates",
            CANDIDATES.table({name: [] for name in CANDIDATES.schema.names}, **facts),
        )
        write_model(
            place / "models" / "xl",
            "transformer_xl",
            config_of(geometry, tiny_training(), tiny_recipe(), vocabulary),
            tiny_recipe(),
        )
        context = tiny_context(
            place, run_name="xl", run=Run(corpus="demo", system="transformer_xl", input="sequences")
        )
        context.scratch.mkdir()
        evaluate(context, geometry, EVALUATION, tiny_recipe())
        (context.scratch / "evaluation").rename(place / "evaluations-xl")
        (place / "evaluations").mkdir()
        (place / "evaluations-xl").rename(place / "evaluations" / "xl")
        return context

    return make


def measured(context: Context, geometry, evaluation: Evaluation = EVALUATION) -> pl.DataFrame:
    shutil.rmtree(context.scratch)
    measure_ceilings(context, geometry, evaluation)
    return pl.DataFrame(pl.from_arrow(open_artifact(CEILINGS, context.scratch / "ceilings").read_all()))


def test_every_mixture_is_of_the_tokens_that_were_evaluated(make_context, geometry):
    context = make_context()
    rows = measured(context, geometry)
    own = pl.DataFrame(
        pl.from_arrow(open_artifact(EVALUATIONS, context.inputs / "evaluations" / "xl").read_all())
    )
    same = ["doc_id", "chunk", "split", "tokens", "bytes", "eligible"]
    assert set(rows["setting"]) == set(MIXTURES)
    for name in MIXTURES:
        of_mixture = rows.filter(pl.col("setting") == name)
        assert of_mixture.select(same).equals(own.select(same))
        # Phrases that return are predicted better by what was counted than by an untrained model.
        assert of_mixture["loss"].sum() < own["loss"].sum()
    assert "knn_lm_beyond 0." in context.say.stream.getvalue()


def test_states_are_searched_in_the_first_documents_alone(make_context, geometry, monkeypatch):
    monkeypatch.setattr(ceilings, "STATES_TOKENS", 100)
    rows = measured(make_context(), geometry)
    documents = {
        name: set(rows.filter(pl.col("setting") == name)["doc_id"]) for name in ("knn_lm", "ngram_cache")
    }
    assert documents == {"knn_lm": {"d" * 16}, "ngram_cache": {"d" * 16, "e" * 16}}


def chosen(context: Context) -> dict:
    artifact = open_artifact(CEILINGS, context.scratch / "ceilings")
    return fact(artifact.read(next(iter(artifact.shards))), "mixtures")


def test_weights_are_chosen_on_validation_documents_alone(make_context, geometry):
    contexts = {"as it is": make_context()}
    rng = np.random.default_rng(0)
    for split, letter in (("test", "d"), ("validation", "v")):
        contexts[split] = make_context({letter * 16: rng.integers(1, 90, 170)}, name=split)
    rows = {name: measured(context, geometry) for name, context in contexts.items()}
    found = {name: chosen(context) for name, context in contexts.items()}
    assert found["test"] == found["as it is"]
    assert found["validation"] != found["as it is"]
    assert set(found["test"]) == set(MIXTURES)
    # Nor does a document say anything of another.
    others = [
        part.filter(pl.col("doc_id") == "e" * 16).drop("token_losses")
        for part in (rows["as it is"], rows["test"])
    ]
    assert others[0].equals(others[1])


def test_the_texts_that_weights_are_chosen_on(make_context, geometry, monkeypatch):
    chunks = open_artifact(CHUNKS, make_context().inputs / "chunks")
    vocabulary_free = [tokens.tolist() for tokens in fitting_texts(chunks, EVALUATION)]
    assert [len(tokens) for tokens in vocabulary_free] == [150]
    monkeypatch.setattr(ceilings, "FITTED_TOKENS", 40)
    assert [tokens.tolist() for tokens in fitting_texts(chunks, EVALUATION)] == [vocabulary_free[0][:40]]
    of_train = fitting_texts(chunks, EVALUATION.model_copy(update={"split": "validation"}))
    assert of_train[0].tolist() == training_text(chunks)[:40].tolist()
    monkeypatch.setattr(ceilings, "TRAINING_TOKENS", 30)
    assert training_text(chunks).tolist() == of_train[0][:30].tolist()


def test_stopped_it_goes_on_with_the_weights_and_shards_that_are_there(
    make_context, geometry, tmp_path, monkeypatch
):
    def job(given: Context) -> None:
        measure_ceilings(given, geometry, EVALUATION)

    context, calls, fit, losses = make_context(), Counter[str](), Mixer.fit, Mixer.losses
    monkeypatch.setattr(Mixer, "fit", lambda *given: (calls.update(fit=1), fit(*given))[1])
    monkeypatch.setattr(Mixer, "losses", lambda *given: (calls.update(losses=1), losses(*given))[1])
    straight = written(job, context, tmp_path / "straight", "ceilings")
    assert (len(straight), calls) == (3, {"fit": 1, "losses": 2})
    assert written(job, context, tmp_path / "stopped", "ceilings", stops=(0, 1)) == straight
    assert calls == {"fit": 2, "losses": 2 + 1 + 2 + 1}


def test_another_system_has_no_rows(make_context, geometry):
    context = make_context()
    run = Run(corpus="demo", system="retro", input="supervision/bm25")
    assert not len(measured(replace(context, run=run), geometry))


def test_without_a_document_to_choose_weights_on_there_are_no_rows(make_context, make_chunks, geometry):
    context = make_context()
    write_artifact(CHUNKS, context.inputs / "chunks", make_chunks({"d" * 16: ("test", np.arange(1, 171))}))
    assert not len(measured(context, geometry))
