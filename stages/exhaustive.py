"""The exhaustive sample: evaluated queries for which the reference LM scores all eligible chunks (paper section 5.1).

Labels know the candidates of BM25 alone, so gold made of them favours what BM25 finds. Here gold is exact, but only of a sample: a query
costs as many pairs as it has eligible chunks, and those of a long document thousands. Hence queries are drawn by hash from those with at
most `exhaustive.most_eligible` eligible chunks, and the sample says nothing of queries that lie further from the start of a document.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from data_contracts.candidates import EXHAUSTIVE
from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.eligibility import last_eligible
from data_contracts.tokens import CHUNKS
from stages.ledger import Ledger
from stages.parameters import Evaluation, Exhaustive, Geometry, Scoring
from stages.scoring import fitting_engine, scorer_of
from stages.scoring_pairs import ShardPrompts, fill, halves_of, wanted_pairs
from stages.stage import Context, Job


def exact_queries(chunks: pl.DataFrame, geometry: Geometry, evaluation: Evaluation, most_eligible: int) -> pl.DataFrame:
    """doc_id, query_chunk and `eligible` of every query of the evaluated split that may be drawn.

    Those whose target is whole and within `evaluation.max_tokens_per_document`, with 1 to `most_eligible` eligible chunks.
    """
    whole = pl.col("tokens") == geometry.chunk_tokens
    within = pl.col("chunk") < evaluation.max_tokens_per_document // geometry.chunk_tokens
    targets = chunks.filter((pl.col("split") == evaluation.split) & whole & within)
    queries = targets.select("doc_id", query_chunk=pl.col("chunk") - 1)
    eligible = last_eligible(pl.col("query_chunk"), geometry.stride_chunks) + 1
    return queries.with_columns(eligible=eligible).filter(pl.col("eligible").is_between(1, most_eligible))


def place_of(doc_id: str, chunk: int, seed: int) -> int:
    """Where a query stands in the order of drawing; decided by its name, so that larger samples contain smaller ones."""
    return int.from_bytes(hashlib.blake2b(f"{seed}:{doc_id}:{chunk}".encode(), digest_size=8).digest())


def draw(context: Context, geometry: Geometry, evaluation: Evaluation, exhaustive: Exhaustive) -> pl.DataFrame:
    """The sample, with the shard of each query."""
    chunks, drawn = open_artifact(CHUNKS, context.input("chunks")), list[pl.DataFrame]()
    for shard in chunks.shards:
        table = pl.DataFrame(pl.from_arrow(chunks.read(shard, ["doc_id", "split", "chunk", "token_ids"])))
        rows = table.select("doc_id", "split", "chunk", tokens=pl.col("token_ids").list.len())
        queries = exact_queries(rows, geometry, evaluation, exhaustive.most_eligible)
        places = [place_of(doc_id, chunk, exhaustive.seed) for doc_id, chunk in queries.select("doc_id", "query_chunk").iter_rows()]
        queries = queries.with_columns(shard=pl.lit(shard), place=pl.Series(places, dtype=pl.UInt64))
        drawn.append(queries.bottom_k(exhaustive.queries, by="place"))
    return pl.concat(drawn).bottom_k(exhaustive.queries, by="place")


def pairs_of(queries: pl.DataFrame) -> pa.Table:
    """(doc_id, query_chunk, candidate_chunk) for all eligible chunks of each query, sorted."""
    candidates = pl.int_ranges(pl.col("eligible"), dtype=pl.Int32).alias("candidate_chunk")
    return queries.sort("doc_id", "query_chunk").select("doc_id", "query_chunk", candidates).explode("candidate_chunk").to_arrow()


def score_all(context: Context, geometry: Geometry, scoring: Scoring, evaluation: Evaluation, exhaustive: Exhaustive) -> None:
    """Write s_t of every eligible chunk of the sampled queries; pairs that the ledger has are not scored again.

    Raises:
        Failure: as `stages.scoring.score` says.
    """
    engine = fitting_engine(scoring, context.input("tokenizer"), context.input("reference_lm"))
    scorer = scorer_of(engine, geometry.chunk_tokens)
    ledger, chunks = Ledger(Path(context.runtime.ledger), scorer), open_artifact(CHUNKS, context.input("chunks"))
    queries = draw(context, geometry, evaluation, exhaustive)
    total, done = int(queries["eligible"].sum()), 0
    context.say.progress(0, total, "pairs", "compiling")
    for shard in chunks.shards:
        pairs = pairs_of(queries.filter(pl.col("shard") == shard))
        if pairs.num_rows:
            table = chunks.read(shard, ["doc_id", "token_ids"])
            fill(ledger, engine, ShardPrompts(table, geometry.chunk_tokens), wanted_pairs(pairs))
        with_candidate, with_local = halves_of(ledger, pairs)
        columns = {name: pairs.column(name) for name in ("doc_id", "query_chunk", "candidate_chunk")}
        columns |= {
            "split": pa.repeat(evaluation.split, pairs.num_rows),
            "target_score": with_candidate.sum(axis=1, dtype=np.float32) - with_local.sum(axis=1, dtype=np.float32),
        }
        written = EXHAUSTIVE.table(columns, stride_chunks=geometry.stride_chunks, scorer=scorer)
        write_shard(EXHAUSTIVE, written, context.out("exhaustive") / shard)
        done += pairs.num_rows
        context.say.progress(done, total, "pairs")
    commit(EXHAUSTIVE, context.out("exhaustive"))
    asked = f"all eligible chunks of {len(queries):,} of {exhaustive.queries:,} asked queries"
    context.say.note(f"**{context.corpus}**: {asked} scored, {total:,} pairs")


STAGE = Job("exhaustive", score_all, ("geometry", "scoring", "evaluation", "exhaustive"), {"exhaustive": "artifacts/{corpus}/exhaustive"})
