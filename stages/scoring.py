"""Scoring: s_t(c_j) = log P(c_i+1 | c_j, c_j+1, c_i) - log P(c_i+1 | c_i-2, c_i-1, c_i) by the reference LM (paper section 3.2).

The local context (c_i-2, c_i-1) is scored as one more candidate, j = i - 2, so both sides of the difference come from one path.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.candidates import CANDIDATES, LABELS
from data_contracts.contract import sha256
from data_contracts.documents import document_runs
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS, list_rows
from stages.engines.jax_engine import JaxScoringLM
from stages.engines.scoring_lm import ScoringLM
from stages.parameters import Geometry, Scoring
from stages.stage import ShardStage


@lru_cache(maxsize=1)
def _engine(reference_lm: Path) -> ScoringLM:
    return JaxScoringLM(reference_lm)


def in_sample(doc_id: str, chunk: int, fraction: float) -> bool:
    """Whether a query belongs to a random `fraction`; decided by its name, so that larger fractions contain smaller ones."""
    return zlib.crc32(f"{doc_id}:{chunk}".encode()) < fraction * 2**32


def chosen_rows(candidates: pa.Table, scoring: Scoring) -> pa.Table:
    """The candidate rows that are to be scored: form `qt`, the first k ranks, sampled queries."""
    train = np.asarray(pc.equal(candidates.column("split"), "train"))
    rows = np.asarray(pc.equal(candidates.column("query_form"), "qt"))
    rows &= candidates.column("rank").to_numpy() < np.where(train, scoring.candidates, scoring.evaluation_candidates)
    fractions = np.where(train, scoring.query_fraction, scoring.evaluation_query_fraction)
    query = candidates.column("query_chunk").to_numpy()
    for doc_id, begin, end in document_runs(candidates.column("doc_id")):
        chunks, place = np.unique(query[begin:end], return_inverse=True)
        rows[begin:end] &= np.array([in_sample(doc_id, int(chunk), fractions[begin]) for chunk in chunks])[place]
    return candidates.filter(pa.array(rows))


def score(chunks: pa.Table, candidates: pa.Table, geometry: Geometry, scoring: Scoring, tokenizer: Path, reference_lm: Path) -> pa.Table:
    """Labels of one shard.

    Raises:
        Failure: (exit code 3) if the reference LM was made for another tokenizer; its log-probabilities would be of other text.
    """
    theirs, ours = sha256(reference_lm / "tokenizer.json"), sha256(tokenizer / "tokenizer.json")
    if theirs != ours:
        cause = f"tokenizer.json has digest {theirs[:12]} there and {ours[:12]} in the tokens"
        raise Failure("the reference LM does not fit the tokens", cause, "re-run tokenization and reference_lm", Exit.CONTRACT)
    rows = chosen_rows(candidates, scoring)
    engine = _engine(reference_lm)
    with_candidate, with_local = score_pairs(engine, chunks, rows, geometry.chunk_tokens)
    columns = {name: rows.column(name) for name in ("doc_id", "split", "query_chunk", "candidate_chunk", "rank", "bm25")}
    candidate_sum, local_sum = with_candidate.sum(axis=1, dtype=np.float32), with_local.sum(axis=1, dtype=np.float32)
    columns |= {
        "candidate_logprob": candidate_sum,
        "local_logprob": local_sum,
        "candidate_halves": pa.FixedSizeListArray.from_arrays(with_candidate.ravel(), 2),
        "local_halves": pa.FixedSizeListArray.from_arrays(with_local.ravel(), 2),
        "target_score": candidate_sum - local_sum,
    }
    facts = {"stride_chunks": geometry.stride_chunks, "sequence_chunks": geometry.sequence_chunks}
    return LABELS.table(columns, **facts, scorer=engine.identity())


def score_pairs(engine: ScoringLM, chunks: pa.Table, rows: pa.Table, chunk_tokens: int) -> tuple[np.ndarray, np.ndarray]:
    """[n, 2] log-probabilities of the target's halves after the candidate, and after the local context, for every row.

    Prefixes and suffixes are rows of the shard's chunks: the pair (j, j + 1) of a document starts at chunk row `first + j`.
    """
    first = {doc_id: begin for doc_id, begin, _ in document_runs(chunks.column("doc_id"))}
    start = np.array([first[doc_id] for doc_id in rows.column("doc_id").to_pylist()], np.int64)
    query, candidate = rows.column("query_chunk").to_numpy(), rows.column("candidate_chunk").to_numpy()
    tokens = list_rows(chunks.column("token_ids"))

    def pair_of_chunks(row: int) -> np.ndarray:
        return np.concatenate((tokens[row], tokens[row + 1])).astype(np.int32)

    prefix_rows, prefix_of = np.unique(np.concatenate((start + candidate, start + query - 2)), return_inverse=True)
    suffix_rows, suffix_of = np.unique(start + query, return_inverse=True)
    if not len(suffix_rows):
        return np.empty((0, 2), np.float32), np.empty((0, 2), np.float32)
    pairs = np.stack((prefix_of, np.tile(suffix_of, 2)), axis=1)
    # A query's local context is the same for all of its candidates and is scored once.
    unique, place = np.unique(pairs, axis=0, return_inverse=True)
    prefixes, suffixes = (np.stack([pair_of_chunks(row) for row in rows_]) for rows_ in (prefix_rows, suffix_rows))
    halves = engine.score(prefixes, suffixes, unique)[place.ravel()]
    return halves[: len(start)], halves[len(start) :]


STAGE = ShardStage(
    "scoring",
    score,
    ("geometry", "scoring"),
    (CHUNKS, CANDIDATES),
    LABELS,
    "labels",
    sides=("tokenizer", "reference_lm"),
    cpus=0,
    monitor="stages.scoring_monitor",
    budgeted=True,
)
