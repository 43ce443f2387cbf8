"""Scoring: s_t(c_j) = log P(c_i+1 | c_j, c_j+1, c_i) - log P(c_i+1 | c_i-2, c_i-1, c_i) by the reference LM (paper section 3.2).

The local context (c_i-2, c_i-1) is scored as one more candidate, j = i - 2, so both sides of the difference come from one path.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from data_contracts.candidates import CANDIDATES, LABELS
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS
from model.hugging_face_files import tokenizer_digest
from stages.engines.choice import explained, make_engine
from stages.engines.scoring_lm import ScoringLM
from stages.parameters import Geometry, Scoring
from stages.runner.stage import ShardStage
from stages.scoring.ledger import Ledger
from stages.scoring.pairs import ShardPrompts, fill, halves_of, wanted_pairs

_engine = lru_cache(maxsize=1)(make_engine)


def in_sample(doc_id: str, chunk: int, fraction: float) -> bool:
    """Whether a query belongs to a random `fraction`; decided by its name, so that larger fractions contain smaller ones."""
    return zlib.crc32(f"{doc_id}:{chunk}".encode()) < fraction * 2**32


def chosen_rows(candidates: pa.Table, scoring: Scoring) -> pa.Table:
    """The candidate rows that are to be scored: form `qt`, the first k ranks, sampled queries."""
    names = ["doc_id", "split", "query_form", "query_chunk", "rank"]
    train = pl.col("split") == "train"
    frame = pl.DataFrame(pl.from_arrow(candidates.select(names))).with_columns(
        ranks=pl.when(train).then(scoring.candidates).otherwise(scoring.evaluation_candidates),
        fraction=pl.when(train).then(scoring.query_fraction).otherwise(scoring.evaluation_query_fraction),
    )
    queries = frame.select("doc_id", "query_chunk", "fraction").unique(maintain_order=True)
    drawn = queries.with_columns(drawn=pl.Series([in_sample(*query) for query in queries.iter_rows()], dtype=pl.Boolean))
    rows = frame.join(drawn, on=["doc_id", "query_chunk", "fraction"], how="left", maintain_order="left")
    chosen = (pl.col("query_form") == "qt") & (pl.col("rank") < pl.col("ranks")) & pl.col("drawn")
    return candidates.filter(rows.select(chosen).to_series().to_arrow())


def fitting_engine(scoring: Scoring, tokenizer: Path, reference_lm: Path) -> ScoringLM:
    """The engine of the reference LM, kept for the next call.

    Raises:
        Failure: (exit code 3) if the reference LM was made for another tokenizer, since its log-probabilities would be of other text, or
            cannot score; (2, 5) if the engine is not chosen or not installed.
    """
    with explained(scoring.engine, reference_lm):
        theirs, ours = tokenizer_digest(reference_lm), tokenizer_digest(tokenizer)
    if theirs != ours:
        cause = f"tokenizer.json has digest {theirs[:12]} there and {ours[:12]} in the tokens"
        raise Failure("the reference LM does not fit the tokens", cause, "re-run tokenization and reference_lm", Exit.CONTRACT)
    return _engine(scoring.engine, reference_lm, scoring.dtype)


def scorer_of(engine: ScoringLM, chunk_tokens: int) -> dict[str, object]:
    """All that decides a score but the text."""
    return {**engine.identity(), "chunk_tokens": chunk_tokens}


def score(
    chunks: pa.Table, candidates: pa.Table, geometry: Geometry, scoring: Scoring, tokenizer: Path, reference_lm: Path, ledger: Path
) -> pa.Table:
    """Labels of one shard; pairs that `ledger` has are not scored, and those that are scored are in it before this returns.

    Raises:
        Failure: as `fitting_engine` says; (exit code 1) if the engine broke down.
    """
    engine = fitting_engine(scoring, tokenizer, reference_lm)
    rows = chosen_rows(candidates, scoring)
    scorer = scorer_of(engine, geometry.chunk_tokens)
    store = Ledger(ledger, scorer)
    fill(store, engine, ShardPrompts(chunks, geometry.chunk_tokens), wanted_pairs(rows))
    with_candidate, with_local = halves_of(store, rows)
    columns = {name: rows.column(name) for name in ("doc_id", "split", "query_chunk", "candidate_chunk", "rank", "bm25")}
    candidate_sum, local_sum = with_candidate.sum(axis=1, dtype=np.float32), with_local.sum(axis=1, dtype=np.float32)
    columns |= {
        "candidate_logprob": candidate_sum,
        "local_logprob": local_sum,
        "candidate_halves": pa.FixedSizeListArray.from_arrays(with_candidate.ravel(), 2),
        "local_halves": pa.FixedSizeListArray.from_arrays(with_local.ravel(), 2),
        "target_score": candidate_sum - local_sum,
    }
    return LABELS.table(columns, stride_chunks=geometry.stride_chunks, sequence_chunks=geometry.sequence_chunks, scorer=scorer)


STAGE = ShardStage(
    "scoring",
    score,
    ("geometry", "scoring"),
    (CHUNKS, CANDIDATES),
    LABELS,
    "labels",
    sides=("tokenizer", "reference_lm"),
    stores=("ledger",),
    cpus=0,
    monitor="stages.scoring.monitor",
    budgeted=True,
)
