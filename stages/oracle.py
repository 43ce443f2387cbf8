"""The oracle: a system of its own retriever, read with the neighbours that the labels say help most (to compare with, never a result)."""

from __future__ import annotations

import itertools

import polars as pl

from data_contracts.candidates import LABELS
from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.evaluations import EVALUATIONS, ORACLE
from data_contracts.tokens import CHUNKS
from model.presets import SYSTEMS
from stages.document_evaluation import OracleChoice
from stages.evaluation import make_reader, write_evaluations
from stages.parameters import Evaluation, Geometry, Recipe
from stages.stage import Context, Job


def oracle_choices(labels: pl.DataFrame, split: str, neighbours: int) -> dict[str, OracleChoice]:
    """doc_id -> for every scored query of a split its `neighbours` candidates of largest s_t > 0, ties to the better rank."""
    best_first = (
        labels.filter(pl.col("split") == split)
        .sort("target_score", "rank", descending=[True, False])
        .group_by("doc_id", "query_chunk", maintain_order=True)
        .agg(pl.col("candidate_chunk").filter(pl.col("target_score") > 0).head(neighbours))
    )
    choices: dict[str, OracleChoice] = {}
    for doc_id, query, ids in best_first.iter_rows():
        choices.setdefault(doc_id, {})[query] = ids
    return choices


def evaluate_with_oracle(context: Context, geometry: Geometry, evaluation: Evaluation, recipe: Recipe) -> None:
    """Write one row for every held-out chunk in the setting `oracle`; none for a system without a retriever of its own."""
    assert context.run
    if SYSTEMS[context.run.system].retriever != "own":
        for shard in open_artifact(CHUNKS, context.input("chunks")).shards:
            empty = EVALUATIONS.table({name: [] for name in EVALUATIONS.schema.names}, stride_chunks=geometry.stride_chunks)
            write_shard(EVALUATIONS, empty, context.out(ORACLE) / shard)
        commit(EVALUATIONS, context.out(ORACLE))
        return
    labels = pl.from_arrow(open_artifact(LABELS, context.input("labels")).read_all())
    assert isinstance(labels, pl.DataFrame)
    reader = make_reader(context, geometry, evaluation, recipe, (ORACLE,))
    choices = oracle_choices(labels, evaluation.split, recipe.neighbours)
    write_evaluations(context, geometry, evaluation, itertools.repeat(reader), ORACLE, choices)


STAGE = Job(ORACLE, evaluate_with_oracle, ("geometry", "evaluation", "recipe"), {ORACLE: "artifacts/{corpus}/oracle/{run}"})
