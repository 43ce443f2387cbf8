"""The dense retriever of a corpus: which examples it is trained on, that training finds planted pairs, and
what the artifact holds.
"""

import io
import itertools
import json
import shutil
import signal
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import load_file

from data_contracts.candidates import CANDIDATES
from data_contracts.contract import open_artifact
from data_contracts.eligibility import last_eligible
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS
from model.baselines.dpr import first_parameters
from model.hugging_face_files import digest
from stages.dense.encoders import from_scratch
from stages.dense.examples import training_examples
from stages.dense.rankings import DenseRanker
from stages.dense.retriever import encoder_config, make_dense_retriever
from stages.dense.training import Examples, Plan, _batches, fresh, train
from stages.mining.mining import mine
from stages.parameters import DenseRetriever
from stages.runner.messages import Messages
from stages.runner.stage import Context
from tests.stages.artifacts import write_artifact, write_tokenizer
from tests.stages.tiny_bert import write_bert
from tests.tiny import tiny_context, tiny_dense_retriever

SIZES = tiny_dense_retriever(width=32, queries=1000, steps=3, batch=4)


def candidates(rows: list[tuple], geometry) -> pa.Table:
    """From (doc_id, split, form, query, chunks in order of rank)."""
    columns: dict[str, list] = {name: [] for name in CANDIDATES.schema.names}
    for doc_id, split, form, query, found in rows:
        for rank, chunk in enumerate(found):
            for name, value in zip(
                CANDIDATES.schema.names, (doc_id, split, form, query, chunk, rank, -float(rank)), strict=True
            ):
                columns[name].append(value)
    return CANDIDATES.table(
        columns, stride_chunks=geometry.stride_chunks, sequence_chunks=geometry.sequence_chunks
    )


@pytest.fixture
def artifacts(tmp_path, make_chunks, geometry):
    """Two shards, chunk c of document d filled with the token 20 d + c, but that chunk 3 of the second
    document says what 2 says.
    """
    first, second, third = (np.repeat(20 * number + np.arange(16), 8) for number in range(3))
    second[24:32] = second[16:24]
    chunks = [
        make_chunks({"a": ("train", first), "b": ("train", second)}),
        make_chunks({"c": ("test", third)}),
    ]
    train_rows = [
        ("a", "train", "qt", 9, [4, 3, 2, 1, 0]),
        ("a", "train", "qt", 10, [6, 4, 3, 2]),
        ("a", "train", "qt", 12, [5, 4, 3, 2, 1, 0]),
        ("b", "train", "qt", 11, [2, 5, 6, 4, 1]),
        ("b", "train", "qt", 13, [3, 5, 6, 4, 0]),
    ]
    test_rows = [("c", "test", form, 13, [5, 4, 3, 2, 1]) for form in ("q", "qt")]
    write_artifact(CHUNKS, tmp_path / "chunks", *chunks)
    write_artifact(
        CANDIDATES, tmp_path / "candidates", candidates(train_rows, geometry), candidates(test_rows, geometry)
    )
    return tmp_path


def test_the_first_of_bm25_is_positive_and_the_fifth_a_hard_negative(artifacts):
    opened = open_artifact(CHUNKS, artifacts / "chunks"), open_artifact(CANDIDATES, artifacts / "candidates")
    examples, short = training_examples(*opened, queries=1000, seed=0)
    said = [values[:, 0].tolist() for values in examples[:3]]
    assert said == [[9, 12, 31, 33], [4, 5, 22, 22], [0, 1, 21, 20]]
    assert examples.queries_EM.shape == (4, 8)
    assert short == 1
    assert examples.names_E2[2, 0] == examples.names_E2[3, 0]
    assert len(np.unique(examples.names_E2)) == 7
    fewer, _ = training_examples(*opened, queries=2, seed=0)
    assert len(fewer.queries_EM) == 2


def planted(count: int, seed: int) -> Examples:
    """Chunks of noise in which a query and its positive share 3 tokens, the query's in the first half and the
    positive's in the second.
    """
    rng = np.random.default_rng(seed)
    chunks_3EM = rng.integers(64, 80, (3, count, 8)).astype(np.int32)
    shared = rng.permuted(np.tile(np.arange(64), (count, 1)), axis=1)[:, :3]
    chunks_3EM[0, :, :3], chunks_3EM[1, :, 5:] = shared, shared
    return Examples(*chunks_3EM, np.arange(2 * count, dtype=np.int32).reshape(count, 2))


@pytest.mark.slow
def test_training_finds_planted_pairs_that_it_has_not_seen(geometry):
    config, plan = encoder_config(SIZES, 80), Plan(400, 32, 3e-3, 0)
    encoders, steps = from_scratch(geometry, config), []
    trained = train(
        encoders.architecture,
        fresh(first_parameters(config, 0), plan),
        planted(2000, 0),
        plan,
        lambda now: steps.append(now.step),
    )
    assert steps == list(range(1, 401))
    assert [row["step"] for row in trained.history] == list(range(20, 401, 20))
    assert trained.history[-1]["loss"] < 0.5 < trained.history[0]["loss"]
    model = encoders.architecture.model(trained.state[0])
    unseen = planted(200, 1)
    scores = np.asarray(model.query(unseen.queries_EM) @ model.passage(unseen.positives_EM).T)
    assert np.mean(scores.argmax(1) == np.arange(200)) > 0.5  # chance: 0.005


def test_every_example_is_used_once_an_epoch():
    rows = list(_batches(9, Plan(4, 4, 1e-3, 0)))
    for epoch in (rows[:2], rows[2:]):
        assert len(np.unique(np.concatenate(epoch))) == 8
    assert not np.array_equal(rows[0], rows[2])


def test_a_positive_that_two_queries_share_is_no_negative_of_either(geometry):
    config, plan, (query, positive, negative, _) = (
        encoder_config(SIZES, 80),
        Plan(1, 2, 1e-3, 0),
        planted(2, 0),
    )
    positive[1] = positive[0]
    examples, encoders = (
        Examples(query, positive, negative, np.array([[0, 1], [0, 2]], np.int32)),
        from_scratch(geometry, config),
    )
    model = encoders.architecture.model(first_parameters(config, 0))
    scores = np.asarray(model.query(query) @ model.passage(np.concatenate([positive[:1], negative])).T)
    expected = np.mean(np.log(np.exp(scores).sum(axis=1)) - scores[:, 0])
    trained = train(encoders.architecture, fresh(first_parameters(config, 0), plan), examples, plan)
    assert trained.history[0]["loss"] == pytest.approx(expected, rel=1e-4)


def test_training_says_when_it_cannot_go_on(geometry):
    config = encoder_config(SIZES, 80)
    architecture, parameters = from_scratch(geometry, config).architecture, first_parameters(config, 0)
    with pytest.raises(ValueError, match="batch of 9 cannot be drawn from 8"):
        train(architecture, fresh(parameters, Plan(1, 9, 1e-3, 0)), planted(8, 0), Plan(1, 9, 1e-3, 0))
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        train(
            architecture,
            fresh(parameters, Plan(2, 4, float("nan"), 0)),
            planted(8, 0),
            Plan(2, 4, float("nan"), 0),
        )


@pytest.fixture
def make_context(tmp_path, make_chunks, geometry, mining):
    numbers = itertools.count()

    def make(tokens: int) -> Context:
        home = tmp_path / str(next(numbers))
        text = np.random.default_rng(0).integers(1, write_tokenizer(home).get_vocab_size(), tokens)
        chunks = make_chunks({"a": ("train", text)})
        write_artifact(CHUNKS, home / "chunks", chunks)
        write_artifact(CANDIDATES, home / "candidates", pa.concat_tables(mine(chunks, geometry, mining)))
        (home / "scratch").mkdir()
        return tiny_context(home)

    return make


def test_the_stage_writes_the_same_bytes_each_time(make_context, geometry):
    first, again = make_context(8 * 64), make_context(8 * 64)
    for context in (first, again):
        make_dense_retriever(context, geometry, SIZES)
    names = {path.name for path in (first.scratch / "dense_retriever").iterdir()}
    assert names == {"model.safetensors", "config.json", "losses.jsonl"}
    for name in names:
        assert (first.scratch / "dense_retriever" / name).read_bytes() == (
            again.scratch / "dense_retriever" / name
        ).read_bytes()
    rows = [
        json.loads(line)
        for line in (first.scratch / "dense_retriever" / "losses.jsonl").read_text().splitlines()
    ]
    assert [row["step"] for row in rows] == [3]
    assert "fewer than 5 candidates were left out" in first.say.stream.getvalue()


class Stopped(Messages):
    """Messages that interrupt the work at some step, as Ctrl-C does."""

    def __init__(self, step: int) -> None:
        super().__init__(io.StringIO())
        self.step = step

    def progress(self, done, *rest) -> None:
        super().progress(done, *rest)
        if done == self.step:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["scratch", "bert"])
def test_a_run_that_was_interrupted_ends_with_the_same_bytes(encoder, make_context, geometry, tmp_path):
    write_bert(tmp_path / "bert", ["some text of a few words"])
    longer = SIZES.model_copy(
        update={
            "steps": 45,
            "encoder": encoder,
            "name": str(tmp_path / "bert"),
            "revision": digest(tmp_path / "bert"),
        }
    )
    whole, stopped = make_context(8 * 64), make_context(8 * 64)
    make_dense_retriever(whole, geometry, longer)
    with pytest.raises(KeyboardInterrupt):
        make_dense_retriever(replace(stopped, say=Stopped(20)), geometry, longer)
    assert [place.name for place in (stopped.scratch / "checkpoints").iterdir()] == ["00000020"]
    make_dense_retriever(stopped, geometry, longer)
    assert "20/45" not in stopped.say.stream.getvalue()
    for path in (whole.scratch / "dense_retriever").iterdir():
        assert (stopped.scratch / "dense_retriever" / path.name).read_bytes() == path.read_bytes()


@pytest.fixture
def bert(tmp_path) -> DenseRetriever:
    write_bert(tmp_path / "bert", ["some text of a few words"])
    return SIZES.model_copy(
        update={
            "encoder": "bert",
            "name": str(tmp_path / "bert"),
            "revision": digest(tmp_path / "bert"),
            "steps": 25,
        }
    )


def test_it_may_begin_as_a_bert(bert, make_context, geometry, tmp_path):
    """The artifact serves a ranker alone: the directory of the BERT may be gone by then."""
    context = make_context(8 * 64)
    make_dense_retriever(context, geometry, bert)
    artifact = context.scratch / "dense_retriever"
    assert {path.name for path in artifact.iterdir()} == {
        "model.safetensors",
        "config.json",
        "losses.jsonl",
        "tokenizer.json",
    }
    assert json.loads((artifact / "config.json").read_text())["bert"]["hidden_size"] == 16
    began, trained = (
        load_file(tmp_path / "bert" / "model.safetensors"),
        load_file(artifact / "model.safetensors"),
    )
    for side in ("query", "passage"):
        words = trained[f"{side}.words.table"]
        assert 0 < np.abs(words - began["bert.embeddings.word_embeddings.weight"]).max() < 0.1
    assert np.abs(trained["query.words.table"] - trained["passage.words.table"]).max() > 0
    shutil.rmtree(tmp_path / "bert")
    length = json.loads((artifact / "config.json").read_text())["length"]
    assert length % 32 == 0
    tokens = np.random.default_rng(1).integers(1, 256, 8 * 40)
    ranker = DenseRanker(artifact, context.input("tokenizer"), 8, "exact", tmp_path)
    best, later = ranker(tokens).best, np.concatenate((tokens[: 8 * 30], np.full(80, 65)))
    assert np.array_equal(best.scores_CR[:30], ranker(later).best.scores_CR[:30]), (
        "what comes later changes no bit"
    )
    last = np.maximum(last_eligible(np.arange(40), geometry.stride_chunks), -1)
    assert (best.ids_CR.max(axis=1) <= last).all()
    assert (best.ids_CR[20] >= 0).sum() == min(20, last[20] + 1)


@pytest.mark.parametrize("revision", [None, "0" * 64])
def test_a_directory_that_is_not_pinned_is_refused_with_what_to_write(
    revision, bert, make_context, geometry, tmp_path
):
    with pytest.raises(Failure, match=f"-o dense_retriever.revision={digest(tmp_path / 'bert')}") as failure:
        make_dense_retriever(make_context(8 * 64), geometry, bert.model_copy(update={"revision": revision}))
    assert failure.value.code == Exit.USAGE


def test_a_model_of_the_hub_needs_a_commit(bert, make_context, geometry):
    with pytest.raises(Failure, match="google-bert/bert-base-uncased/commits/main"):
        make_dense_retriever(
            make_context(8 * 64),
            geometry,
            bert.model_copy(update={"name": "google-bert/bert-base-uncased", "revision": None}),
        )


@pytest.mark.parametrize(
    ("name", "revision", "said"),
    [
        ("/no/such/directory", None, "no directory /no/such/directory"),
        ("org/lm", "0" * 64, "a commit has 40 digits"),
    ],
)
def test_a_mistyped_directory_is_not_looked_for_on_the_hub(
    name, revision, said, bert, make_context, geometry
):
    with pytest.raises(Failure, match=said) as failure:
        make_dense_retriever(
            make_context(8 * 64), geometry, bert.model_copy(update={"name": name, "revision": revision})
        )
    assert failure.value.code == Exit.USAGE


def test_a_directory_that_is_no_bert_is_refused(bert, make_context, geometry, tmp_path):
    (tmp_path / "bert" / "config.json").write_text('{"model_type": "gpt_neox"}')
    with pytest.raises(Failure, match="model_type = 'gpt_neox'"):
        make_dense_retriever(
            make_context(8 * 64), geometry, bert.model_copy(update={"revision": digest(tmp_path / "bert")})
        )


def test_a_corpus_without_hard_negatives_is_refused(make_context, geometry):
    with pytest.raises(Failure, match=r"raise mining\.max_candidates") as failure:
        make_dense_retriever(make_context(8 * 8), geometry, SIZES)
    assert failure.value.code == Exit.USAGE


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(Failure, match="change `dense_retriever`"):
        encoder_config(SIZES.model_copy(update={"heads": 3}), 80)
