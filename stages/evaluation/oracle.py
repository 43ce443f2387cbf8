"""The oracle: a system of its own retriever, read with the neighbours that the labels say help most (to
compare with, never a result).

`oracle` chooses among the scored candidates of every labelled query; `oracle_all` among all eligible chunks,
as the paper does, for the queries of the exhaustive sample alone.
"""

from __future__ import annotations

import itertools

import polars as pl

from data_contracts.candidates import EXHAUSTIVE, LABELS
from data_contracts.contract import Contract, commit, open_artifact, write_shard
from data_contracts.evaluations import EVALUATIONS, ORACLE, ORACLE_ALL
from data_contracts.tokens import CHUNKS
from model.registry import SYSTEMS
from stages.evaluation.documents import OracleChoice
from stages.evaluation.evaluation import READ, make_reader, own_given
from stages.evaluation.writing import write_evaluations
from stages.parameters import Evaluation, Geometry, Recipe
from stages.runner.stage import Context, Job


def oracle_choices(labels: pl.DataFrame, split: str, neighbours: int) -> dict[str, OracleChoice]:
    """doc_id -> for every scored query of a split its `neighbours` candidates of largest s_t > 0, ties to the
    better rank.
    """
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


def evaluate_with_oracle(
    context: Context, geometry: Geometry, evaluation: Evaluation, recipe: Recipe
) -> None:
    """Write one row for every held-out chunk in the setting `oracle`, and in `oracle_all` if any query was
    sampled; none for a system without a retriever of its own."""
    assert context.run
    if SYSTEMS[context.run.system].retriever != "own":
        for shard in open_artifact(CHUNKS, context.input("chunks")).shards:
            empty = EVALUATIONS.table(
                {name: [] for name in EVALUATIONS.schema.names}, stride_chunks=geometry.stride_chunks
            )
            write_shard(EVALUATIONS, empty, context.out(ORACLE) / shard)
        commit(EVALUATIONS, context.out(ORACLE))
        return
    scored = {
        ORACLE: _rows(context, LABELS),
        ORACLE_ALL: _rows(context, EXHAUSTIVE).with_columns(rank=-pl.col("candidate_chunk")),
    }
    oracles = {
        setting: oracle_choices(rows, evaluation.split, recipe.neighbours)
        for setting, rows in scored.items()
        if setting == ORACLE or len(rows)
    }
    reader = make_reader(context, geometry, evaluation, recipe, tuple(oracles))
    own = own_given(context, geometry)
    write_evaluations(
        context,
        geometry,
        evaluation,
        itertools.repeat(reader),
        ORACLE,
        lambda shard, documents: own(shard, documents)._replace(oracles=oracles),
    )


def _rows(context: Context, contract: Contract) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(open_artifact(contract, context.input(contract.name)).read_all()))


STAGE = Job(
    ORACLE,
    evaluate_with_oracle,
    ("geometry", "evaluation", "recipe"),
    {ORACLE: "artifacts/{corpus}/oracle/{run}"},
    reads=tuple(f"artifacts/{{corpus}}/{place}" for place in (*READ, "labels", "exhaustive")),
)
