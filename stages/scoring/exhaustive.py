"""The exhaustive sample: evaluated queries for which the reference LM scores all eligible chunks (paper
section 5.1).

Labels know the candidates of BM25 alone, so gold made of them favours what BM25 finds. Here gold is exact,
but only of a sample: a query costs as many pairs as it has eligible chunks, and those of a long document
thousands. Hence queries are drawn by hash from those with at most `exhaustive.most_eligible` eligible chunks,
and the sample says nothing of queries that lie further from the start of a document.
"""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from data_contracts import counting
from data_contracts.candidates import EXHAUSTIVE
from data_contracts.contract import Artifact, open_artifact
from data_contracts.eligibility import last_eligible
from data_contracts.tokens import CHUNKS
from stages.parameters import Evaluation, Exhaustive, Geometry, Scoring
from stages.runner.stage import Context, Job
from stages.scoring.query_sample import drawn, write_scores


def exact_queries(
    chunks: pl.DataFrame, geometry: Geometry, evaluation: Evaluation, most_eligible: int
) -> pl.DataFrame:
    """doc_id, query_chunk and `eligible` of every query of the evaluated split that may be drawn.

    Those whose target is whole and within `evaluation.max_tokens_per_document`, with 1 to `most_eligible`
    eligible chunks.
    """
    whole = pl.col("tokens") == geometry.chunk_tokens
    within = pl.col("chunk") < evaluation.max_tokens_per_document // geometry.chunk_tokens
    targets = chunks.filter((pl.col("split") == evaluation.split) & whole & within)
    queries = targets.select("doc_id", query_chunk=pl.col("chunk") - 1)
    eligible = last_eligible(pl.col("query_chunk"), geometry.stride_chunks) + 1
    return queries.with_columns(eligible=eligible).filter(pl.col("eligible").is_between(1, most_eligible))


def draw(
    chunks: Artifact, geometry: Geometry, evaluation: Evaluation, exhaustive: Exhaustive
) -> pl.DataFrame:
    """The sample, with the shard of each query."""
    found = list[pl.DataFrame]()
    for shard in chunks.shards:
        table = pl.DataFrame(pl.from_arrow(chunks.read(shard, ["doc_id", "split", "chunk", "token_ids"])))
        rows = table.select("doc_id", "split", "chunk", tokens=counting.length("token_ids"))
        queries = exact_queries(rows, geometry, evaluation, exhaustive.most_eligible).with_columns(
            shard=pl.lit(shard)
        )
        found.append(drawn(queries, exhaustive.queries, exhaustive.seed))
    return pl.concat(found).bottom_k(exhaustive.queries, by="place")


def pairs_of(queries: pl.DataFrame) -> pa.Table:
    """(doc_id, query_chunk, candidate_chunk) for all eligible chunks of each query, sorted."""
    candidates = pl.int_ranges(pl.col("eligible"), dtype=pl.Int32).alias("candidate_chunk")
    return (
        queries.sort("doc_id", "query_chunk")
        .select("doc_id", "query_chunk", candidates)
        .explode("candidate_chunk")
        .to_arrow()
    )


def score_all(
    context: Context, geometry: Geometry, scoring: Scoring, evaluation: Evaluation, exhaustive: Exhaustive
) -> None:
    """Write s_t of every eligible chunk of the sampled queries.

    Raises:
        Failure: as `stages.scoring.query_sample.write_scores` says.
    """
    queries = draw(open_artifact(CHUNKS, context.input("chunks")), geometry, evaluation, exhaustive)
    total = queries.select(counting.total("eligible")).item()

    def of_shard(shard: str) -> pa.Table:
        return pairs_of(queries.filter(pl.col("shard") == shard))

    write_scores(context, geometry, scoring, evaluation.split, EXHAUSTIVE, of_shard, total)
    asked = f"all eligible chunks of {len(queries):,} of {exhaustive.queries:,} asked queries"
    context.say.note(f"**{context.corpus}**: {asked} scored, {total:,} pairs")


STAGE = Job(
    "exhaustive",
    score_all,
    ("geometry", "scoring", "evaluation", "exhaustive"),
    {"exhaustive": "artifacts/{corpus}/exhaustive"},
    reads=tuple(f"artifacts/{{corpus}}/{place}" for place in ("tokenizer", "chunks", "reference_lm")),
)
