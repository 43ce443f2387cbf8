"""The passages of training sequences and of held-out documents stand beside the right chunk, and losses are
those of reading them.
"""

import re
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from data_contracts.candidates import CANDIDATES
from data_contracts.contract import open_artifact
from data_contracts.evaluations import BY_CHANCE, EVALUATIONS, OWN, WITHOUT
from data_contracts.failure import Exit, Failure
from data_contracts.passages import CORPUS_NEIGHBOURS, KEYS, NEAREST, RANDOM
from data_contracts.sequences import SEQUENCES
from data_contracts.tokens import CHUNKS, TOKENS, list_column
from model.parameters_io import load_model
from model.registry import SYSTEMS
from stages.evaluation.evaluation import evaluate
from stages.evaluation.settings import settings_of
from stages.index.build import make_index
from stages.index.keys import keys
from stages.index.neighbours import corpus_neighbours
from stages.parameters import CorpusNeighbours, Evaluation, Index, PassageEncoder, Run
from stages.supervision.packing import pack
from stages.tokens.tokenizer import vocabulary_size
from stages.training.data import data_of
from stages.training.order import Segments
from stages.training.passages import PassageSource, passages_of
from stages.training.start import write_start
from stages.training.systems import config_of
from stages.training.training import train
from tests.model.programs import losses_of_passages
from tests.stages.artifacts import write_artifact, write_model, write_tokenizer
from tests.tiny import tiny_context, tiny_recipe, tiny_training

RUN = Run(corpus="demo", system="retro_corpus", input="corpus_neighbours")
SIZES = CorpusNeighbours(neighbours=2, evaluation_neighbours=3, random=2, margin=1)


@pytest.fixture
def home(tmp_path, make_chunks, geometry):
    """Two training documents of 2 sequences and a short one, and a test document, with everything up to
    corpus_neighbours.
    """
    size = vocabulary_size(write_tokenizer(tmp_path))
    rng = np.random.default_rng(0)
    texts = {
        "a": ("train", 8 * 20 + 5),
        "b": ("train", 8 * 17),
        "c": ("train", 6),
        "t": ("test", 8 * 9 + 3),
        "u": ("test", 5),
    }
    texts = {name: (split, rng.integers(1, size, count)) for name, (split, count) in texts.items()}
    chunks = make_chunks(texts)
    tokens = {"doc_id": [*texts], "split": [split for split, _ in texts.values()]}
    tokens["token_ids"] = list_column([ids.astype(np.uint32) for _, ids in texts.values()])
    write_artifact(CHUNKS, tmp_path / "chunks", chunks)
    write_artifact(
        CANDIDATES,
        tmp_path / "candidates",
        CANDIDATES.table({n: [] for n in CANDIDATES.schema.names}, stride_chunks=2, sequence_chunks=16),
    )
    write_artifact(SEQUENCES, tmp_path / "sequences", pack(TOKENS.table(tokens, tokenizer="x"), geometry))
    write_artifact(
        KEYS, tmp_path / "keys", keys(chunks, geometry, PassageEncoder(width=16), tmp_path / "tokenizer")
    )
    make_index(tiny_context(tmp_path), geometry, Index())
    (tmp_path / "scratch" / "index").rename(tmp_path / "index")
    known = open_artifact(KEYS, tmp_path / "keys").read("part-00000.parquet")
    found = pa.concat_tables(corpus_neighbours(known, chunks, geometry, SIZES, tmp_path / "index"))
    write_artifact(CORPUS_NEIGHBOURS, tmp_path / "corpus_neighbours", found)
    return tmp_path


def rows_of(home, doc_id: str, origin: str) -> dict[tuple[int, int], list[int]]:
    """(query chunk, rank) -> tokens of a document's passages."""
    table = open_artifact(CORPUS_NEIGHBOURS, home / "corpus_neighbours").read_all()
    table = table.filter(
        pc.and_(pc.equal(table.column("doc_id"), doc_id), pc.equal(table.column("origin"), origin))
    )
    return {(row["query_chunk"], row["rank"]): row["token_ids"] for row in table.to_pylist()}


@pytest.mark.parametrize(("system", "origin"), [("retro_corpus", NEAREST), ("retro_corpus_random", RANDOM)])
def test_each_chunk_of_a_sequence_has_its_own_passages(system, origin, home, geometry):
    data = data_of(home, SYSTEMS[system], RUN, tiny_recipe(), geometry, tiny_training())
    assert data.keys == [("a", 0), ("a", 16), ("b", 0), ("b", 16), ("c", 0)]
    passages = np.asarray(data.batch(Segments(np.arange(5), np.ones(5, bool))).passages_BCNR)
    assert passages.shape == (5, 16, 2, 16)
    for row, (doc_id, first) in enumerate(data.keys):
        known = rows_of(home, doc_id, origin)
        for chunk in range(16):
            for rank in range(2):
                assert passages[row, chunk, rank].tolist() == known.get((first + chunk, rank), [-1] * 16), (
                    doc_id,
                    first,
                    chunk,
                    rank,
                )
    left = data_of(home, SYSTEMS[system], RUN, tiny_recipe(), geometry, tiny_training(shortest_sequence=0.9))
    np.testing.assert_array_equal(
        left.batch(Segments(np.arange(2), np.ones(2, bool))).passages_BCNR, passages[[0, 2]]
    )


def test_more_passages_than_were_found_are_refused(home, geometry):
    with pytest.raises(Failure, match=r"raise corpus_neighbours\.neighbours to 3") as failure:
        data_of(home, SYSTEMS["retro_corpus"], RUN, tiny_recipe(neighbours=3), geometry, tiny_training())
    assert failure.value.code == Exit.USAGE
    source, length = (
        PassageSource(home / "corpus_neighbours", NEAREST, 2),
        np.array([geometry.sequence_tokens]),
    )
    with pytest.raises(Failure, match=r"chunks of 8 tokens, geometry\.chunk_tokens is 16"):
        passages_of(source, [("a", 0)], length, geometry.model_copy(update={"chunk_tokens": 16}))
    with pytest.raises(Failure, match="document a has no training sequence"):
        passages_of(source, [("b", 0)], length, geometry)


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("b", "16 of 36 chunks; the first is 0 of document b"),
        (None, "19 of 36 chunks; the first is 1 of document a"),
    ],
)
def test_sequences_without_passages_are_refused(home, geometry, without, said):
    """A document that the artifact lacks, or some of its chunks, would be trained on with nothing to read,
    and nobody would know.
    """
    path = home / "corpus_neighbours" / "part-00000.parquet"
    table = pq.read_table(path)
    lost = pc.equal(table.column("doc_id"), without or "a")
    found = table.filter(
        pc.invert(lost if without else pc.and_(lost, pc.greater(table.column("query_chunk"), 0)))
    )
    shutil.rmtree(path.parent)
    write_artifact(CORPUS_NEIGHBOURS, path.parent, found)
    with pytest.raises(Failure, match=said) as failure:
        data_of(home, SYSTEMS["retro_corpus"], RUN, tiny_recipe(), geometry, tiny_training())
    assert failure.value.code == Exit.CONTRACT


def test_an_evaluation_reads_the_passages_of_the_index(home, geometry):
    """Every setting, token for token as the training forward with the passages that it names; the rows name
    no chunk of the document.
    """
    recipe, evaluation = (
        tiny_recipe(),
        Evaluation(
            split="test", max_tokens_per_document=1000, settings=("first_1", "second", "training_length")
        ),
    )
    config = config_of(geometry, tiny_training(), recipe, 300)
    write_model(home / "models" / "it", "retro_corpus", config, recipe)
    context = tiny_context(home, run_name="it", run=RUN)
    evaluate(context, geometry, evaluation, recipe)
    rows = open_artifact(EVALUATIONS, home / "scratch" / "evaluation").read_all().to_pylist()
    assert {row["setting"] for row in rows} == {OWN, WITHOUT, BY_CHANCE, "first_1", "second"}
    assert settings_of(SYSTEMS["retro_corpus"], ()) == (BY_CHANCE, WITHOUT, OWN)
    assert not any(row[name] for row in rows for name in ("retrieved", "ranking", "scores", "gates"))
    model = load_model(home / "models" / "it" / "model.safetensors", SYSTEMS["retro_corpus"], config)
    near, chance = (rows_of(home, "t", origin) for origin in (NEAREST, RANDOM))
    reads = {
        OWN: (near, (0, 1)),
        BY_CHANCE: (chance, (0, 1)),
        WITHOUT: (near, ()),
        "first_1": (near, (0,)),
        "second": (near, (1,)),
    }
    chunks = open_artifact(CHUNKS, home / "chunks").read_all()
    text = np.concatenate([np.array(row["token_ids"]) for row in chunks.to_pylist() if row["doc_id"] == "t"])
    padded = np.zeros(8 * 10 + 1, np.int32)
    padded[: len(text)] = text
    for setting, (known, ranks) in reads.items():
        passages = np.full((1, 10, 2, 16), -1, np.int32)
        for chunk in range(9):
            for slot, rank in enumerate(ranks):
                passages[0, chunk, slot] = known[chunk, rank]
        losses = np.asarray(losses_of_passages(model, padded[None, :-1], padded[None, 1:], passages))[
            0, : len(text) - 1
        ]
        found = np.concatenate(
            [row["token_losses"] for row in rows if (row["setting"], row["doc_id"]) == (setting, "t")]
        )
        np.testing.assert_allclose(found, losses, atol=1e-4, err_msg=setting)
    assert re.search(r"at most 8 +\| +9 \|", context.say.stream.getvalue())
    with pytest.raises(Failure, match=r"raise corpus_neighbours\.evaluation_neighbours to 4"):
        evaluate(context, geometry, evaluation, tiny_recipe(neighbours=4))


def test_a_fit_of_a_trained_run_keeps_it_and_without_passages_has_its_losses(home, geometry, monkeypatch):
    """Transformer-XL, its start and the fit by their stages, one after the other; then both are evaluated."""
    monkeypatch.chdir(home)
    recipe, training = tiny_recipe(), tiny_training(steps=3, learning_rate=1e-2)
    of = {
        "before": Run(corpus="demo", system="transformer_xl", input="sequences"),
        "fit": Run(corpus="demo", system="retro_fit", input="starts/before"),
    }
    evaluation = Evaluation(split="test", max_tokens_per_document=1000, settings=())
    found, weights = {}, {}
    for name, run in of.items():
        given = {"run_name": name, "run": run.as_read(), "start": run.start}
        context = tiny_context(home, scratch=home / "made" / name, **given)
        train(context, geometry, training, recipe)
        (home / "models").mkdir(exist_ok=True)
        (context.scratch / "model").rename(home / "models" / name)
        if name == "before":
            write_start(context)
            (home / "starts").mkdir()
            (context.scratch / "starts").rename(home / "starts" / name)
        weights[name] = load_file(home / "models" / name / "model.safetensors")
        evaluate(context, geometry, evaluation, recipe)
        rows = open_artifact(EVALUATIONS, context.scratch / "evaluation").read_all().to_pylist()
        for setting in (OWN, WITHOUT):
            parts = [row["token_losses"] for row in rows if row["setting"] == setting]
            found[name, setting] = np.concatenate(parts) if parts else None
    for path, value in weights["before"].items():
        np.testing.assert_array_equal(weights["fit"][path], value)
    np.testing.assert_allclose(found["fit", WITHOUT], found["before", OWN], atol=1e-5)
    assert np.abs(found["fit", OWN] - found["before", OWN]).max() > 1e-3
