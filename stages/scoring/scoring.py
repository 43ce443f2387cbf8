"""Scoring: s_t(c_j) = log P(c_i+1 | c_j, c_j+1, c_i) - log P(c_i+1 | c_i-2, c_i-1, c_i) by the reference LM
(paper section 3.2).

The local context (c_i-2, c_i-1) is scored as one more candidate, j = i - 2, so both sides of the difference
come from one path. Where the reference LM has another tokenizer than the corpus, it reads the same chunks as
text (stages/scoring/text_prompts.py).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from data_contracts.candidates import CANDIDATES, LABELS
from data_contracts.places import Place
from data_contracts.tokens import CHUNKS
from model.hugging_face_files import tokenizer_digest
from stages.engines.choice import explained, make_engine
from stages.engines.scoring_lm import ScoringLM
from stages.parameters import Geometry, Scoring
from stages.runner.stage import ShardStage
from stages.scoring.ledger import Ledger
from stages.scoring.pairs import ShardPrompts, fill, halves_of, wanted_pairs
from stages.scoring.text_prompts import TextPrompts
from stages.tokens.chunk_texts import bytes_of_tokens
from stages.tokens.scorer_tokens import load_scorer_tokenizer
from stages.tokens.tokenizer import load_tokenizer

LAYOUT_OF_TEXT = "c_j c_j+1 c_q c_t, each tokenised by itself, sums over halves of the tokens of c_t"
_engine = lru_cache(maxsize=1)(make_engine)


def in_sample(doc_id: str, chunk: int, fraction: float) -> bool:
    """Whether a query belongs to a random `fraction`; decided by its name, so that larger fractions contain
    smaller ones.
    """
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
    drawn = queries.with_columns(
        drawn=pl.Series([in_sample(*query) for query in queries.iter_rows()], dtype=pl.Boolean)
    )
    rows = frame.join(drawn, on=["doc_id", "query_chunk", "fraction"], how="left", maintain_order="left")
    chosen = (pl.col("query_form") == "qt") & (pl.col("rank") < pl.col("ranks")) & pl.col("drawn")
    return candidates.filter(rows.select(chosen).to_series().to_arrow())


class Scorer(NamedTuple):
    """The reference LM of a corpus, ready for its chunks.

    Attributes:
        engine: what scores.
        identity: all that decides a score but the text.
        prompts: the chunks of a shard -> the prompts that the engine reads.
    """

    engine: ScoringLM
    identity: dict[str, object]
    prompts: Callable[[pa.Table], ShardPrompts]


def scorer_of(scoring: Scoring, tokenizer: Path, reference_lm: Path, chunk_tokens: int) -> Scorer:
    """The reference LM in tokens of the corpus if it has the same, else in text; its engine is kept for the
    next call.

    Raises:
        Failure: (exit code 3) if the reference LM cannot score, or chunks of the corpus cannot be written as
            text; (2, 5) if the engine is not chosen or not installed.
    """
    other = other_tokenizer(scoring, tokenizer, reference_lm)
    engine = _engine(scoring.engine, reference_lm, scoring.dtype)
    identity = scorer_identity(engine, chunk_tokens, other)
    if other is None:
        return Scorer(engine, identity, lambda chunks: ShardPrompts(chunks, chunk_tokens))
    bytes_of, theirs = bytes_of_tokens(load_tokenizer(tokenizer)), load_scorer_tokenizer(reference_lm)
    return Scorer(engine, identity, lambda chunks: TextPrompts(chunks, chunk_tokens, bytes_of, theirs))


def other_tokenizer(scoring: Scoring, tokenizer: Path, reference_lm: Path) -> str | None:
    """The digest of the corpus's tokenizer if the reference LM has another one; None if it has the same.

    Raises:
        Failure: (exit code 3) if one of them is missing.
    """
    with explained(scoring.engine, reference_lm):
        theirs, ours = tokenizer_digest(reference_lm), tokenizer_digest(tokenizer)
    return None if theirs == ours else ours


def scorer_identity(engine: ScoringLM, chunk_tokens: int, other: str | None) -> dict[str, object]:
    """All that decides a score but the text: the engine, how long chunks are and, where it is another, the
    tokenizer that cut them.
    """
    identity = {**engine.identity(), "chunk_tokens": chunk_tokens}
    return identity if other is None else identity | {"chunk_tokenizer": other, "layout": LAYOUT_OF_TEXT}


def score(
    chunks: pa.Table,
    candidates: pa.Table,
    geometry: Geometry,
    scoring: Scoring,
    tokenizer: Path,
    reference_lm: Path,
    ledger: Place,
) -> pa.Table:
    """Labels of one shard; pairs that `ledger` has are not scored, and those that are scored are in it before
    this returns.

    Raises:
        Failure: as `scorer_of` says; (exit code 3) for text that the reference LM's tokenizer does not give
            back; (1) if the engine broke down.
    """
    scorer = scorer_of(scoring, tokenizer, reference_lm, geometry.chunk_tokens)
    rows = chosen_rows(candidates, scoring)
    store = Ledger(ledger, scorer.identity)
    fill(store, scorer.engine, scorer.prompts(chunks), wanted_pairs(rows))
    with_candidate, with_local = halves_of(store, rows)
    columns = {
        name: rows.column(name)
        for name in ("doc_id", "split", "query_chunk", "candidate_chunk", "rank", "bm25")
    }
    candidate_sum, local_sum = (
        with_candidate.sum(axis=1, dtype=np.float32),
        with_local.sum(axis=1, dtype=np.float32),
    )
    columns |= {
        "candidate_logprob": candidate_sum,
        "local_logprob": local_sum,
        "candidate_halves": pa.FixedSizeListArray.from_arrays(with_candidate.ravel(), 2),
        "local_halves": pa.FixedSizeListArray.from_arrays(with_local.ravel(), 2),
        "target_score": candidate_sum - local_sum,
    }
    return LABELS.table(
        columns,
        stride_chunks=geometry.stride_chunks,
        sequence_chunks=geometry.sequence_chunks,
        scorer=scorer.identity,
    )


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
