"""The retrieved sample: which queries, which pairs; and the stage as a whole with a real small LM, whose
scores are those of scoring.
"""

import shutil
from functools import partial

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from data_contracts.candidates import EXHAUSTIVE, RETRIEVED
from data_contracts.contract import open_artifact
from data_contracts.eligibility import last_eligible
from data_contracts.evaluations import EVALUATIONS
from data_contracts.failure import Failure
from data_contracts.tokens import CHUNKS
from stages.parameters import Evaluation, Exhaustive, Retrieved, Run, Runtime, Scoring
from stages.runner.stage import Context
from stages.scoring.exhaustive import score_all
from stages.scoring.retrieved import score_retrieved
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
DOCUMENTS = {"a" * 16: 24, "c" * 16: 10}
QUERIES = 22 - 4 + 1 + 8 - 4 + 1  # from chunk 4 on there is something to retrieve; the last chunk is no query
RUNS = {
    "xl": Run(corpus="demo", system="transformer_xl", input="sequences"),
    "near": Run(corpus="demo", system="rpt_sem", input="supervision/scored"),
    "far": Run(corpus="demo", system="rpt_lex", input="supervision/bm25"),
    "elsewhere": Run(corpus="other", system="rpt_sem", input="supervision/scored"),
}


def read(run: str, eligible: int) -> list[int]:
    """Two neighbours: the nearest but one before it, or the farthest, as far as there are."""
    chosen = range(eligible)[-3:-1] if run == "near" else range(eligible)[:2] if run == "far" else ()
    return sorted(chosen, reverse=run == "near")


def evaluation(run: str, doc_id: str, chunks: int) -> pa.Table:
    """Every query of a document in its own setting, and in another one that reads chunk 0 alone."""
    rows = []
    for setting in ("none", "own"):
        for chunk in range(-1, chunks - 1):
            eligible = max(0, last_eligible(chunk, 2) + 1) if chunk >= 0 else 0
            tokens = 7 if chunk < 0 else 8
            retrieved = read(run, eligible) if setting == "own" else [0][:eligible]
            lists = {
                "token_losses": [1.0] * tokens,
                "retrieved": retrieved,
                "ranking": [],
                "scores": [],
                "gates": [1.0] * len(retrieved),
            }
            of = {"system": run, "setting": setting, "doc_id": doc_id, "split": "test", "chunk": chunk}
            rows.append(
                {
                    **of,
                    "loss": float(tokens),
                    "tokens": tokens,
                    "bytes": tokens,
                    "eligible": eligible,
                    **lists,
                }
            )
    return EVALUATIONS.table(
        {name: [row[name] for row in rows] for name in EVALUATIONS.schema.names}, stride_chunks=2
    )


@pytest.fixture
def context(tmp_path, make_chunks) -> Context:
    """A document a shard, read by three runs of the corpus."""
    write_reference_lm(tmp_path, tiny_gpt_neox(rotary_pct=0.5))
    rng = np.random.default_rng(1)
    tokens = {doc_id: rng.integers(1, 60, 8 * chunks) for doc_id, chunks in DOCUMENTS.items()}
    write_artifact(
        CHUNKS, tmp_path / "chunks", *(make_chunks({doc_id: ("test", ids)}) for doc_id, ids in tokens.items())
    )
    for name in ("xl", "near", "far"):
        tables = [evaluation(name, doc_id, chunks) for doc_id, chunks in DOCUMENTS.items()]
        write_artifact(EVALUATIONS, tmp_path / "evaluations" / name, *tables)
    return tiny_context(tmp_path, runtime=Runtime(ledger=str(tmp_path / "ledger")))


def run(context: Context, geometry, queries: int, seed: int = 0) -> pl.DataFrame:
    shutil.rmtree(context.scratch, ignore_errors=True)
    score_retrieved(context, geometry, SCORING, EVALUATION, Retrieved(queries=queries, seed=seed), RUNS)
    return pl.DataFrame(pl.from_arrow(open_artifact(RETRIEVED, context.scratch / "retrieved").read_all()))


def test_what_any_run_read_in_its_own_setting_is_scored_once(context, geometry):
    rows = run(context, geometry, 10_000)
    assert len(asked(rows)) == QUERIES
    for _, query, candidates in rows.group_by("doc_id", "query_chunk").agg("candidate_chunk").iter_rows():
        eligible = last_eligible(query, 2) + 1
        assert candidates == sorted({*read("near", eligible), *read("far", eligible), eligible - 1})
    assert (
        f"what 3 runs retrieved, and the latest chunk, for {QUERIES} of 10,000 asked queries scored,"
        f" {len(rows)} pairs" in context.say.stream.getvalue()
    )


def test_stopped_it_goes_on_after_the_shards_that_are_there(context, geometry, tmp_path):
    def job(given: Context) -> None:
        score_retrieved(given, geometry, SCORING, EVALUATION, Retrieved(queries=9), RUNS)

    straight = written(job, context, tmp_path / "straight", "retrieved")
    assert written(job, context, tmp_path / "stopped", "retrieved", stops=(0, 0)) == straight
    assert len(straight) == 3


def test_scores_are_those_of_the_exhaustive_sample_and_cost_nothing_where_it_has_them(
    context, geometry, monkeypatch
):
    score_all(
        context,
        geometry,
        SCORING,
        Evaluation(max_tokens_per_document=10_000),
        Exhaustive(queries=10_000, most_eligible=100, seed=0),
    )
    everything = pl.DataFrame(
        pl.from_arrow(open_artifact(EXHAUSTIVE, context.scratch / "exhaustive").read_all())
    )
    monkeypatch.setattr(
        "stages.scoring.pairs.ShardPrompts.score", lambda *_: pytest.fail("a pair was scored again")
    )
    rows = run(context, geometry, 10_000)
    both = rows.join(everything, on=["doc_id", "query_chunk", "candidate_chunk"], suffix="_exhaustive")
    assert len(both) == len(rows)
    assert (both["target_score"] == both["target_score_exhaustive"]).all()
    assert both["target_score"].abs().max() > 1e-2


def test_the_ledger_is_filled_and_read(context, geometry, monkeypatch):
    check_nothing_is_scored_again(partial(run, context, geometry), monkeypatch)


def test_a_larger_sample_contains_a_smaller_one_and_the_seed_decides(context, geometry):
    check_samples_contain_each_other(partial(run, context, geometry))


def test_it_is_drawn_in_the_order_of_the_exhaustive_sample(context, geometry):
    score_all(
        context,
        geometry,
        SCORING,
        Evaluation(max_tokens_per_document=10_000),
        Exhaustive(queries=5, most_eligible=100, seed=0),
    )
    everything = pl.DataFrame(
        pl.from_arrow(open_artifact(EXHAUSTIVE, context.scratch / "exhaustive").read_all())
    )
    assert asked(run(context, geometry, 5)) == asked(everything)


def test_no_query_is_an_empty_artifact(context, geometry):
    assert run(context, geometry, 0).is_empty()


def test_a_reference_lm_of_another_tokenizer_scores_text(context, geometry):
    write_other_tokenizer(context.input("reference_lm"), 60)
    assert len(run(context, geometry, 2))
    assert "chunk_tokenizer" in open_artifact(RETRIEVED, context.scratch / "retrieved").fact("scorer")


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("candidate_chunk", 3, "a neighbour that its query can see"),
        ("target_score", 2.0, "target_score must be"),
        ("local_logprob", float("nan"), "log-probabilities must be finite"),
        ("split", "tset", "split"),
    ],
)
def test_what_cannot_be_breaks_the_contract(column, value, reason):
    row = {"doc_id": "d", "split": "test", "query_chunk": 6, "candidate_chunk": 2}
    row |= {"candidate_logprob": -3.0, "local_logprob": -4.0, "target_score": 1.0}
    RETRIEVED.validate(
        RETRIEVED.table({name: [known] for name, known in row.items()}, stride_chunks=2, scorer={}), "here"
    )
    broken = RETRIEVED.table(
        {name: [known] for name, known in (row | {column: value}).items()}, stride_chunks=2, scorer={}
    )
    with pytest.raises(Failure, match=reason):
        RETRIEVED.validate(broken, "here")
