"""The oracles' choices, from labels written by hand; and the stage as a whole with a real untrained model."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from ruamel.yaml import YAML

from data_contracts.candidates import CANDIDATES, EXHAUSTIVE, LABELS
from data_contracts.contract import open_artifact
from data_contracts.evaluations import EVALUATIONS
from data_contracts.tokens import CHUNKS
from stages.evaluation.oracle import evaluate_with_oracle, oracle_choices
from stages.parameters import Evaluation, Run
from stages.runner.stage import Context
from stages.training.systems import config_of
from tests.stages.artifacts import write_artifact, write_model, write_tokenizer
from tests.tiny import tiny_context, tiny_recipe, tiny_training

ROOT = Path(__file__).resolve().parents[3]
RECIPE = tiny_recipe()
DOC = "d" * 16


def test_the_best_positive_candidates_are_chosen_and_a_scored_query_may_have_none():
    rows = [
        ("d", "test", 9, 3, 0, 1.5),
        ("d", "test", 9, 1, 1, -2.0),
        ("d", "test", 9, 5, 2, 7.0),
        ("d", "test", 9, 2, 3, 1.5),
        ("d", "test", 12, 4, 0, 0.0),
        ("e", "validation", 9, 3, 0, 1.0),
        ("f", "test", 8, 3, 0, 0.1),
    ]
    labels = pl.DataFrame(
        rows, ["doc_id", "split", "query_chunk", "candidate_chunk", "rank", "target_score"], orient="row"
    )
    assert oracle_choices(labels, "test", 2) == {"d": {9: [5, 3], 12: []}, "f": {8: [3]}}
    assert oracle_choices(labels, "test", 5)["d"][9] == [5, 3, 2]


def labelled(rank: list[int], chunk: list[int], scores: list[float]) -> dict[str, list]:
    """Labels of query 9."""
    count = len(rank)
    logprob = [score - 20.0 for score in scores]
    halves = {name: [[-10.0, -10.0]] * count for name in ("candidate_halves", "local_halves")}
    columns = {
        "doc_id": [DOC] * count,
        "split": ["test"] * count,
        "query_chunk": [9] * count,
        "candidate_chunk": chunk,
        "rank": rank,
    }
    sums = {"candidate_logprob": logprob, "local_logprob": [-20.0] * count, "target_score": scores}
    return {**columns, "bm25": [-float(place) for place in rank], **sums, **halves}


def scored(queries: dict[int, list[float]]) -> dict[str, list]:
    """The exhaustive sample: the scores of chunks 0, 1, ... by query."""
    rows = [(query, chunk, score) for query, scores in queries.items() for chunk, score in enumerate(scores)]
    columns = zip(*rows, strict=True) if rows else ([], [], [])
    found = dict(zip(("query_chunk", "candidate_chunk", "target_score"), map(list, columns), strict=True))
    return {"doc_id": [DOC] * len(rows), "split": ["test"] * len(rows), **found}


@pytest.fixture
def make_context(tmp_path, make_chunks, geometry):
    def make(sample: dict[int, list[float]]) -> Context:
        facts = {"stride_chunks": geometry.stride_chunks, "scorer": {}}
        more = {"sequence_chunks": geometry.sequence_chunks}
        vocabulary = write_tokenizer(tmp_path).get_vocab_size()
        tokens = np.random.default_rng(0).integers(1, vocabulary, 8 * 14)
        no_candidates = {name: [] for name in CANDIDATES.schema.names}
        write_artifact(CHUNKS, tmp_path / "chunks", make_chunks({DOC: ("test", tokens)}))
        write_artifact(
            CANDIDATES, tmp_path / "candidates", CANDIDATES.table(no_candidates, stride_chunks=2, **more)
        )
        write_artifact(
            LABELS,
            tmp_path / "labels",
            LABELS.table(labelled([0, 1, 2], [4, 0, 2], [1.0, -1.0, 3.0]), **facts, **more),
        )
        write_artifact(EXHAUSTIVE, tmp_path / "exhaustive", EXHAUSTIVE.table(scored(sample), **facts))
        config = config_of(geometry, tiny_training(), RECIPE, vocabulary)
        write_model(tmp_path / "models" / "sem", "rpt_sem", config, RECIPE)
        run = Run(corpus="demo", system="rpt_sem", input="supervision/scored")
        return tiny_context(tmp_path, run_name="sem", run=run)

    return make


def read_by(context: Context, geometry) -> dict[tuple[str, int], list[int]]:
    """(setting, chunk) -> what was read."""
    context.scratch.mkdir()
    evaluate_with_oracle(context, geometry, Evaluation(max_tokens_per_document=10_000), RECIPE)
    rows = (
        open_artifact(EVALUATIONS, context.scratch / "oracle")
        .read_all(["setting", "chunk", "retrieved"])
        .to_pylist()
    )
    return {(row["setting"], row["chunk"]): row["retrieved"] for row in rows}


def test_each_oracle_reads_what_is_best_of_what_it_knows(make_context, geometry):
    read = read_by(make_context({7: [-1.0, 0.0, -2.0], 9: [0.5, 2.0, 3.0, 2.0, 1.0]}), geometry)
    assert read["oracle", 9] == [2, 4]
    # Of equal scores the nearer chunk.
    assert read["oracle_all", 9] == [2, 3]
    assert read["oracle_all", 7] == []
    assert len(read["oracle", 7]) == 2
    assert read["oracle", 11] == read["oracle_all", 11]


def test_without_a_sample_there_is_one_oracle(make_context, geometry):
    assert {setting for setting, _ in read_by(make_context({}), geometry)} == {"oracle"}


def test_dvc_is_told_of_all_that_is_read(make_context, geometry, monkeypatch):
    """Else the oracle of a run that learns from no labels would not follow them."""
    asked, place_of = set[str](), Context.input
    monkeypatch.setattr(Context, "input", lambda self, name: asked.add(name) or place_of(self, name))
    read_by(make_context({7: [-1.0, 0.0, -2.0]}), geometry)
    entry = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]["oracle"]["do"]
    assert asked == {dep.split("/")[2] for dep in entry["deps"] if dep.startswith("artifacts/")}
