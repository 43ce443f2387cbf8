"""Samples of evaluated queries: who is drawn, and the scores of the pairs that a sample asks for, through the
ledger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from data_contracts.contract import Contract, commit, fact, open_artifact, write_shard
from data_contracts.places import resolved
from data_contracts.tokens import CHUNKS
from stages.parameters import Geometry, Scoring
from stages.runner.resumption import finished_shards
from stages.runner.stage import Context
from stages.scoring.ledger import KEYS, Ledger
from stages.scoring.pairs import fill, halves_of, wanted_pairs
from stages.scoring.scoring import scorer_of


def place_of(doc_id: str, chunk: int, seed: int) -> int:
    """Where a query stands in the order of drawing; decided by its name, so that larger samples contain
    smaller ones.
    """
    return int.from_bytes(hashlib.blake2b(f"{seed}:{doc_id}:{chunk}".encode(), digest_size=8).digest())


def drawn(queries: pl.DataFrame, number: int, seed: int) -> pl.DataFrame:
    """The first `number` of the distinct `queries` (doc_id, query_chunk and what else) in the order of
    drawing, with their `place`.
    """
    places = [
        place_of(doc_id, chunk, seed) for doc_id, chunk in queries.select("doc_id", "query_chunk").iter_rows()
    ]
    return queries.with_columns(place=pl.Series(places, dtype=pl.UInt64)).bottom_k(number, by="place")


def write_scores(
    context: Context,
    geometry: Geometry,
    scoring: Scoring,
    split: str,
    contract: Contract,
    pairs_of: Callable[[str], pa.Table],
    total: int,
) -> None:
    """Write s_t of `total` pairs as an artifact of `contract`, shard by shard; shards that this scorer
    has made stay, and pairs that the ledger has are not scored again.

    `pairs_of` gives the (doc_id, query_chunk, candidate_chunk) of each shard of the chunks, sorted.

    Raises:
        Failure: as `stages.scoring.scoring.score` says.
    """
    scorer = scorer_of(
        scoring, context.input("tokenizer"), context.input("reference_lm"), geometry.chunk_tokens
    )
    ledger, chunks = (
        Ledger(resolved(context.runtime.ledger, Path.cwd()), scorer.identity),
        open_artifact(CHUNKS, context.input("chunks")),
    )
    target, done = context.out(contract.name), 0
    finished = finished_shards(target)
    context.say.progress(0, total, "pairs", "compiling")
    for shard in chunks.shards:
        pairs = pairs_of(shard)
        done += pairs.num_rows
        if shard in finished and _scorer_of(target / shard) == scorer.identity:
            context.say.progress(done, total, "pairs", "resumed")
            continue
        if pairs.num_rows:
            fill(
                ledger,
                scorer.engine,
                scorer.prompts(chunks.read(shard, ["doc_id", "token_ids"])),
                wanted_pairs(pairs),
            )
        candidate, local = (halves.sum(axis=1, dtype=np.float32) for halves in halves_of(ledger, pairs))
        columns = {name: pairs.column(name) for name in KEYS} | {"split": pa.repeat(split, pairs.num_rows)}
        columns |= {"candidate_logprob": candidate, "local_logprob": local, "target_score": candidate - local}
        kept = {name: columns[name] for name in contract.schema.names}
        table = contract.table(kept, stride_chunks=geometry.stride_chunks, scorer=scorer.identity)
        write_shard(contract, table, target / shard)
        context.say.progress(done, total, "pairs")
    commit(contract, target)


def _scorer_of(shard: Path) -> object:
    """Who scored a shard: another engine or device may have begun the artifact."""
    return fact(pq.read_table(shard, columns=[]), "scorer")
