"""The exhaustive sample: which queries, which pairs; and the stage as a whole with a real small LM, whose
scores are those of scoring.
"""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from data_contracts.candidates import EXHAUSTIVE
from data_contracts.contract import open_artifact
from data_contracts.failure import Failure
from data_contracts.tokens import CHUNKS
from stages.mining.mining import mine
from stages.parameters import Evaluation, Exhaustive, Mining, Runtime, Scoring
from stages.runner.stage import Context
from stages.scoring.exhaustive import exact_queries, score_all
from stages.scoring.pairs import ShardPrompts
from stages.scoring.scoring import score
from tests.stages.artifacts import write_artifact, write_other_tokenizer, write_reference_lm
from tests.stages.scoring.query_sample import (
    asked,
    check_nothing_is_scored_again,
    check_samples_contain_each_other,
)
from tests.stages.stopped import written
from tests.tiny import tiny_context, tiny_gpt_neox

EVALUATION = Evaluation(max_tokens_per_document=8 * 20)
SCORING = Scoring(candidates=3, evaluation_candidates=5)


@pytest.fixture
def chunks(make_chunks) -> pa.Table:
    """Test documents of 24 chunks and of 10 and a half, and two of other splits."""
    rng = np.random.default_rng(1)
    lengths = {
        "a": ("test", 8 * 24),
        "b": ("train", 8 * 24),
        "c": ("test", 8 * 10 + 4),
        "d": ("validation", 8 * 24),
    }
    return make_chunks(
        {16 * name: (split, rng.integers(1, 60, length)) for name, (split, length) in lengths.items()}
    )


@pytest.fixture
def context(tmp_path, chunks) -> Context:
    """A corpus in two shards, the second of which has document c alone of the test split."""
    write_reference_lm(tmp_path, tiny_gpt_neox(rotary_pct=0.5))
    write_artifact(CHUNKS, tmp_path / "chunks", chunks.slice(0, 48), chunks.slice(48))
    return tiny_context(tmp_path, runtime=Runtime(ledger=str(tmp_path / "ledger")))


def run(context: Context, geometry, queries: int, most_eligible: int = 100, seed: int = 0) -> pl.DataFrame:
    shutil.rmtree(context.scratch, ignore_errors=True)
    score_all(
        context,
        geometry,
        SCORING,
        EVALUATION,
        Exhaustive(queries=queries, most_eligible=most_eligible, seed=seed),
    )
    table = open_artifact(EXHAUSTIVE, context.scratch / "exhaustive").read_all()
    return pl.DataFrame(pl.from_arrow(table))


def test_queries_are_those_that_evaluation_reaches_with_a_whole_target_and_something_to_retrieve(
    chunks, geometry
):
    frame = pl.DataFrame(pl.from_arrow(chunks)).with_columns(tokens=pl.col("token_ids").list.len())
    found = exact_queries(frame, geometry, EVALUATION, 100)
    # With a stride of 2 chunks, queries 4 and 5 are the first that may retrieve, chunk 0 alone. 20 chunks of
    # a are read, c has 10 whole.
    assert found.filter(pl.col("doc_id") == "a" * 16)["query_chunk"].to_list() == list(range(4, 19))
    assert found.filter(pl.col("doc_id") == "c" * 16)["query_chunk"].to_list() == list(range(4, 9))
    assert set(found["doc_id"]) == {"a" * 16, "c" * 16}
    assert found["eligible"].to_list()[:4] == [1, 1, 3, 3]
    assert exact_queries(frame, geometry, EVALUATION, 3)["query_chunk"].to_list() == [4, 5, 6, 7] * 2


def test_every_eligible_chunk_is_scored_as_scoring_scores_it(context, chunks, geometry):
    rows = run(context, geometry, 10_000)
    assert len(asked(rows)) == 15 + 5
    everything = rows.group_by("doc_id", "query_chunk", maintain_order=True).agg("candidate_chunk")
    for _, query, candidates in everything.iter_rows():
        assert candidates == list(range(2 * (query // 2 - 1) - 1))
    test = chunks.filter(pc.equal(chunks.column("split"), "test"))
    candidates = pa.concat_tables(mine(test, geometry, Mining(max_candidates=5)))
    places = (context.input("tokenizer"), context.input("reference_lm"), Path(context.inputs / "fresh"))
    labels = pl.DataFrame(pl.from_arrow(score(test, candidates, geometry, SCORING, *places)))
    keys = ["doc_id", "query_chunk", "candidate_chunk"]
    both = rows.join(labels, on=keys, suffix="_label")
    assert len(both) > 50
    assert np.allclose(both["target_score"], both["target_score_label"], atol=1e-4)
    assert both["target_score"].abs().max() > 1e-2


def test_the_ledger_is_filled_and_read(context, geometry, monkeypatch):
    check_nothing_is_scored_again(partial(run, context, geometry), monkeypatch)


def test_stopped_it_goes_on_after_the_shards_that_are_there(context, geometry, tmp_path, monkeypatch):
    def job(given: Context) -> None:
        score_all(given, geometry, SCORING, EVALUATION, Exhaustive(queries=10_000, most_eligible=100))

    straight = written(job, context, tmp_path / "straight", "exhaustive")
    asked_for = list[int]()
    count = ShardPrompts.score
    monkeypatch.setattr(
        ShardPrompts, "score", lambda *given: (asked_for.append(len(given[2])), count(*given))[1]
    )
    fresh = replace(context, runtime=Runtime(ledger=str(tmp_path / "another")))
    assert written(job, fresh, tmp_path / "stopped", "exhaustive", stops=(0, 0)) == straight
    assert len(straight) == 3
    assert len(asked_for) == 2  # each shard once
    shutil.rmtree(tmp_path / "another")  # what is whole needs no ledger either
    manifest = tmp_path / "stopped" / "exhaustive" / "manifest.json"
    whole = manifest.read_bytes()
    manifest.unlink()
    job(replace(fresh, scratch=tmp_path / "stopped"))
    assert len(asked_for) == 2
    # but what another scorer has begun is scored again
    shard = min(manifest.parent.glob("part-*.parquet"))
    table = pq.read_table(shard)
    by_another = table.schema.metadata | {b"rpt.scorer": b'{"name": "another"}'}
    pq.write_table(table.replace_schema_metadata(by_another), shard)
    manifest.unlink()
    job(replace(fresh, scratch=tmp_path / "stopped"))
    assert len(asked_for) == 3
    assert manifest.read_bytes() == whole


def test_a_larger_sample_contains_a_smaller_one_and_the_seed_decides(context, geometry):
    check_samples_contain_each_other(partial(run, context, geometry))


def test_no_query_is_an_empty_artifact_and_few_eligible_bound_the_cost(context, geometry):
    assert run(context, geometry, 0).is_empty()
    bounded = run(context, geometry, 100, most_eligible=3)
    assert {query for _, query in asked(bounded)} == {4, 5, 6, 7}
    assert "all eligible chunks of 8 of 100 asked queries scored, 16 pairs" in context.say.stream.getvalue()


def test_a_reference_lm_of_another_tokenizer_scores_text(context, geometry):
    in_tokens = run(context, geometry, 2)
    write_other_tokenizer(context.input("reference_lm"), 60)
    in_text = run(context, geometry, 2)
    assert "chunk_tokenizer" in open_artifact(EXHAUSTIVE, context.scratch / "exhaustive").fact("scorer")
    assert in_text.drop("target_score").equals(in_tokens.drop("target_score"))
    assert (in_text["target_score"] - in_tokens["target_score"]).abs().min() > 0


@pytest.mark.parametrize("row", [0, 1, 2])
def test_a_query_that_lacks_a_candidate_breaks_the_contract(row):
    # Query 6 has chunks 0, 1 and 2 to choose from at a stride of 2.
    rows = {
        "doc_id": ["d"] * 3,
        "split": ["test"] * 3,
        "query_chunk": [6] * 3,
        "candidate_chunk": [0, 1, 2],
        "target_score": [0.0] * 3,
    }
    whole = EXHAUSTIVE.table(rows, stride_chunks=2, scorer={})
    EXHAUSTIVE.validate(whole, "here")
    with pytest.raises(Failure, match="all its eligible chunks"):
        EXHAUSTIVE.validate(whole.filter(pa.array([place != row for place in range(3)])), "here")
