"""The retrieved sample: evaluated queries for which the reference LM scores what each system read, so that
Precision@2 is exact.

Labels know the candidates of BM25 alone, and a neighbour that was not among them counts as not relevant. Here
every neighbour of a sampled query has its s_t, whoever retrieved it, and so has the latest chunk that could
be, which no run needs to have found. The sample is the same for all runs of a corpus, and is drawn in the
order of the exhaustive one, so that the two share queries, whose pairs are then known and whose chance is
exact.
"""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from data_contracts.candidates import RETRIEVED
from data_contracts.contract import Artifact, open_artifact
from data_contracts.evaluations import EVALUATIONS, OWN
from stages.parameters import Evaluation, Geometry, Retrieved, Run, Scoring
from stages.runner.stage import Context, Job
from stages.scoring.query_sample import drawn, write_scores

COLUMNS = ["doc_id", "setting", "chunk", "tokens", "eligible", "retrieved"]


def neighbours_read(evaluation: Artifact, shard: str, chunk_tokens: int) -> pl.DataFrame:
    """doc_id, query_chunk and what is scored for every query with a whole target and something to retrieve:
    what a run `retrieved` in its own setting, and the latest chunk that it could."""
    rows = pl.DataFrame(pl.from_arrow(evaluation.read(shard, COLUMNS)))
    queries = rows.filter(
        (pl.col("setting") == OWN) & (pl.col("tokens") == chunk_tokens) & (pl.col("eligible") > 0)
    )
    latest = (pl.col("eligible") - 1).cast(pl.Int32)
    return queries.select(
        "doc_id", retrieved=pl.concat_list("retrieved", latest), query_chunk="chunk", shard=pl.lit(shard)
    )


def sampled(evaluations: list[Artifact], chunk_tokens: int, retrieved: Retrieved) -> pl.DataFrame:
    """The pairs (shard, doc_id, query_chunk, candidate_chunk) that any of the runs asks for, each once."""
    parts = [
        drawn(
            pl.concat([neighbours_read(evaluation, shard, chunk_tokens) for shard in evaluation.shards]),
            retrieved.queries,
            retrieved.seed,
        )
        for evaluation in evaluations
    ]
    pairs = (
        pl.concat(parts).explode("retrieved").drop_nulls("retrieved").rename({"retrieved": "candidate_chunk"})
    )
    return (
        pairs.select("shard", "doc_id", "query_chunk", "candidate_chunk")
        .unique()
        .sort("doc_id", "query_chunk", "candidate_chunk")
    )


def score_retrieved(
    context: Context,
    geometry: Geometry,
    scoring: Scoring,
    evaluation: Evaluation,
    retrieved: Retrieved,
    runs: dict[str, Run],
) -> None:
    """Write s_t of every chunk that a run of the corpus read for a sampled query, and of the latest one that
    may be retrieved for it.

    Raises:
        Failure: as `stages.scoring.query_sample.write_scores` says.
    """
    places = [
        context.input("evaluations") / name for name, run in runs.items() if run.corpus == context.corpus
    ]
    pairs = sampled([open_artifact(EVALUATIONS, place) for place in places], geometry.chunk_tokens, retrieved)

    def of_shard(shard: str) -> pa.Table:
        return pairs.filter(pl.col("shard") == shard).drop("shard").to_arrow()

    write_scores(context, geometry, scoring, evaluation.split, RETRIEVED, of_shard, len(pairs))
    queries = pairs.select("doc_id", "query_chunk").n_unique()
    asked = (
        f"what {len(places)} runs retrieved, and the latest chunk, for {queries:,} of {retrieved.queries:,}"
        " asked queries"
    )
    context.say.note(f"**{context.corpus}**: {asked} scored, {len(pairs):,} pairs")


STAGE = Job(
    "retrieved",
    score_retrieved,
    ("geometry", "scoring", "evaluation", "retrieved", "runs"),
    {"retrieved": "artifacts/{corpus}/retrieved"},
    reads=tuple(
        f"artifacts/{{corpus}}/{place}" for place in ("tokenizer", "chunks", "reference_lm", "evaluations")
    ),
)
