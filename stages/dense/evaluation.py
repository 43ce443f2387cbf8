"""A dense retriever swapped into a trained system at test alone (paper Table 4): same parameters, neighbours
of other origin.
"""

from __future__ import annotations

import itertools

from data_contracts.evaluations import DPR
from data_contracts.failure import Exit, Failure
from model.registry import SYSTEMS
from stages.dense.rankings import DenseRanker
from stages.evaluation.evaluation import READ, make_reader
from stages.evaluation.writing import Given, write_evaluations
from stages.parameters import Evaluation, Geometry, Recipe
from stages.runner.stage import Context, Job


def evaluate_with_dense_retriever(
    context: Context, geometry: Geometry, evaluation: Evaluation, recipe: Recipe
) -> None:
    """Write one row for every held-out chunk in the setting `dpr`.

    Raises:
        Failure: (exit code 2) for a system that reads no neighbours, or if the split holds no document.
    """
    assert context.run
    if SYSTEMS[context.run.system].retriever == "none":
        cause = f"{context.run.system} reads no neighbours"
        raise Failure(
            f"swaps.{context.run_name}", cause, "remove it, or name a run of a system that does", Exit.USAGE
        )
    ranker = DenseRanker(
        context.input("dense_retriever"),
        context.input("tokenizer"),
        geometry.sequence_chunks,
        evaluation.index,
        context.scratch,
    )
    reader = make_reader(context, geometry, evaluation, recipe, (DPR,))
    write_evaluations(
        context,
        geometry,
        evaluation,
        itertools.repeat(reader),
        "dense",
        lambda _, documents: Given({doc_id: ranker(ids) for doc_id, ids in documents.items()}),
    )
    if ranker.cut:
        context.say.note(
            f"**{context.run_name}**: {ranker.cut:,} chunks were cut, for they have more word pieces than the"
            " encoders read"
        )


STAGE = Job(
    "dense_evaluation",
    evaluate_with_dense_retriever,
    ("geometry", "evaluation", "recipe"),
    {"dense": "artifacts/{corpus}/dense/{run}"},
    reads=tuple(f"artifacts/{{corpus}}/{place}" for place in (*READ, "dense_retriever")),
)
