"""A dense retriever swapped into real untrained models: whose neighbours they read, and that the ranking is
that of its inner products.
"""

import json

import numpy as np
import polars as pl
import pytest

from data_contracts.candidates import CANDIDATES
from data_contracts.contract import open_artifact
from data_contracts.eligibility import last_eligible
from data_contracts.evaluations import EVALUATIONS
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS
from model.baselines.dpr import DualEncoder, first_parameters
from model.parameters_io import save_parameters
from model.registry import SYSTEMS
from stages.dense.encoders import from_scratch
from stages.dense.evaluation import evaluate_with_dense_retriever
from stages.dense.rankings import DenseRanker
from stages.dense.retriever import encoder_config
from stages.parameters import Evaluation, Run
from stages.runner.stage import Context
from stages.training.systems import INPUT_OF, config_of
from tests.stages.artifacts import write_artifact, write_model, write_tokenizer
from tests.tiny import tiny_context, tiny_dense_retriever, tiny_recipe, tiny_training

RECIPE = tiny_recipe()
EVALUATION = Evaluation(max_tokens_per_document=8 * 30 + 3)
DOCUMENTS = {
    letter * 16: np.random.default_rng(seed).integers(1, 256, 8 * 33 + seed)
    for seed, letter in enumerate("de")
}


@pytest.fixture
def retriever(tmp_path, geometry):
    """A dense retriever whose two encoders differ, as if it had been trained."""
    config = encoder_config(tiny_dense_retriever(), 300)
    parameters = {
        path: value * (1.5 if path.startswith("query") else 1.0)
        for path, value in first_parameters(config, 0).items()
    }
    place = tmp_path / "dense_retriever"
    place.mkdir()
    save_parameters(parameters, place / "model.safetensors")
    encoders = from_scratch(geometry, config)
    (place / "config.json").write_text(json.dumps(encoders.described))
    return encoders.architecture.model(parameters)


@pytest.fixture
def make_context(tmp_path, make_chunks, geometry):
    def make(system: str) -> Context:
        vocabulary = write_tokenizer(tmp_path).get_vocab_size()
        write_artifact(
            CHUNKS,
            tmp_path / "chunks",
            make_chunks({doc_id: ("test", tokens) for doc_id, tokens in DOCUMENTS.items()}),
        )
        facts = {"stride_chunks": geometry.stride_chunks, "sequence_chunks": geometry.sequence_chunks}
        write_artifact(
            CANDIDATES,
            tmp_path / "candidates",
            CANDIDATES.table({name: [] for name in CANDIDATES.schema.names}, **facts),
        )
        write_model(
            tmp_path / "models" / "it",
            system,
            config_of(geometry, tiny_training(), RECIPE, vocabulary),
            RECIPE,
        )
        run = Run(corpus="demo", system=system, input=INPUT_OF[SYSTEMS[system].supervision])
        (tmp_path / "scratch").mkdir()
        return tiny_context(tmp_path, run_name="it", run=run)

    return make


def inner_products(retriever: DualEncoder, tokens: np.ndarray) -> np.ndarray:
    """Of every chunk, as a query, with every chunk."""
    chunks = tokens[: len(tokens) // 8 * 8].reshape(-1, 8)
    return np.asarray(retriever.query(chunks) @ retriever.passage(chunks).T)


@pytest.mark.slow
@pytest.mark.parametrize("system", ["retro", "rpt_sem"])
def test_a_system_reads_what_the_dense_retriever_ranks_first(system, make_context, retriever, geometry):
    context = make_context(system)
    evaluate_with_dense_retriever(context, geometry, EVALUATION, RECIPE)
    rows = open_artifact(EVALUATIONS, context.scratch / "dense").read_all().to_pylist()
    assert {row["setting"] for row in rows} == {"dpr"}
    assert {row["system"] for row in rows} == {system}
    for doc_id, tokens in DOCUMENTS.items():
        read, of_document = tokens[:243], [row for row in rows if row["doc_id"] == doc_id]
        products = inner_products(retriever, read)
        assert sum(row["tokens"] for row in of_document) == len(read) - 1
        assert [row["chunk"] for row in of_document] == list(range(-1, 30))
        for row in of_document[1:]:
            scores = products[row["chunk"], : max(0, last_eligible(row["chunk"], geometry.stride_chunks) + 1)]
            best = np.argsort(-scores)[:20].tolist()
            assert row["ranking"] == best
            assert row["scores"] == pytest.approx(
                [scores[chunk] * 8**-0.5 for chunk in best], rel=1e-4, abs=1e-5
            )
            assert row["retrieved"] == best[:2]
            assert row["eligible"] == len(scores)
            assert len(row["gates"]) == len(row["retrieved"])
    frame = pl.DataFrame(rows)
    assert frame["retrieved"].list.len().max() == 2
    assert frame["ranking"].list.len().max() == 20


def test_an_older_artifact_which_says_more_of_its_sizes_is_read(tmp_path, retriever):
    config = tmp_path / "dense_retriever" / "config.json"
    described = json.loads(config.read_text())
    described["shape"] |= {
        "cca_layers": [],
        "neighbours": 1,
        "gate_window": 1,
        "dropout": 0.0,
        "remat": False,
    }
    config.write_text(json.dumps(described))
    ranker = DenseRanker(tmp_path / "dense_retriever", tmp_path / "tokenizer", 8, "exact", tmp_path)
    assert len(ranker(DOCUMENTS["d" * 16]).best.ids_CR) == 33


def test_a_ranking_knows_nothing_of_what_comes_later(tmp_path, retriever, geometry):
    ranker = DenseRanker(tmp_path / "dense_retriever", tmp_path / "tokenizer", 8, "exact", tmp_path)
    tokens = DOCUMENTS["d" * 16]
    changed = tokens.copy()
    changed[8 * 20 :] = (changed[8 * 20 :] + 7) % 256
    for ranking, other in zip(ranker(tokens), ranker(changed), strict=True):
        assert np.array_equal(ranking.ids_CR[:20], other.ids_CR[:20])
        assert np.array_equal(ranking.scores_CR[:20], other.scores_CR[:20])
        assert not np.array_equal(ranking.scores_CR[20:], other.scores_CR[20:])
    near = ranker(tokens).near.ids_CR
    query = np.arange(len(near))[:, None]
    assert ((near == -1) | (near >= query - 8)).all()
    assert len(ranker(tokens[:5]).best.ids_CR) == 0


def test_a_system_without_neighbours_is_refused(make_context, retriever, geometry):
    with pytest.raises(Failure, match="transformer_xl reads no neighbours") as failure:
        evaluate_with_dense_retriever(make_context("transformer_xl"), geometry, EVALUATION, RECIPE)
    assert failure.value.code == Exit.USAGE
