"""Candidates and labels: which earlier chunks BM25 proposes for a query chunk, and what the scoring LM says
of them, of all eligible chunks, or of those that systems retrieved."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.contract import Contract, fact, field
from data_contracts.documents import DOC_ID, SPLIT, unknown_splits
from data_contracts.eligibility import is_eligible, last_eligible

QUERY_CHUNK = field("query_chunk", pa.int32(), "chunk i that asks; its target is chunk i + 1", "chunks")
CANDIDATE_CHUNK = field(
    "candidate_chunk", pa.int32(), "chunk j that may be retrieved, with its continuation j + 1", "chunks"
)
PAIR = [
    QUERY_CHUNK,
    CANDIDATE_CHUNK,
    field("rank", pa.int16(), "0 = best BM25; ties go to the nearer chunk"),
    field("bm25", pa.float32(), "BM25Okapi score of chunk j for the query tokens"),
]


def pool_start(query_chunk: np.ndarray, split: np.ndarray, sequence_chunks: int) -> np.ndarray:
    """First chunk of the pool a query retrieves from: its training sequence for `train`, the document
    otherwise.
    """
    return np.where(split == "train", query_chunk // sequence_chunks * sequence_chunks, 0)


def _check_pairs(table: pa.Table) -> Iterator[str]:
    yield from unknown_splits(table)
    query, candidate = table.column("query_chunk").to_numpy(), table.column("candidate_chunk").to_numpy()
    start = pool_start(query, table.column("split").to_numpy(), fact(table, "sequence_chunks"))
    if not is_eligible(query, candidate, fact(table, "stride_chunks"), start).all():
        yield "a candidate that its query can see, or that lies outside the query's pool"
    rank = table.column("rank").to_numpy()
    if rank[0] != 0 or not ((np.diff(rank) == 1) | (rank[1:] == 0)).all():
        yield "ranks of a query must be 0, 1, 2, ..."
    bm25 = table.column("bm25").to_numpy()
    if not np.isfinite(bm25).all() or ((rank[1:] > 0) & (np.diff(bm25) > 0)).any():
        yield "BM25 scores must be finite and fall with rank"


def _check_candidates(table: pa.Table) -> Iterator[str]:
    yield from _check_pairs(table)
    if odd := set(pc.unique(table.column("query_form")).to_pylist()) - {"q", "qt"}:
        yield f"unknown query forms {sorted(odd)}"


CANDIDATES = Contract(
    "candidates",
    1,
    pa.schema(
        [
            DOC_ID,
            SPLIT,
            field(
                "query_form",
                pa.string(),
                "qt: the query is chunks i and i + 1 (labels); q: chunk i alone (RETRO at test)",
            ),
            *PAIR,
        ]
    ),
    ("doc_id", "query_form", "query_chunk", "rank"),
    _check_candidates,
    facts=("stride_chunks", "sequence_chunks"),
)

HALVES = pa.list_(pa.float32(), 2)
CANDIDATE_LOGPROB = field(
    "candidate_logprob", pa.float32(), "log P(c_i+1 | c_j, c_j+1, c_i), summed over the target tokens", "nats"
)
LOCAL_LOGPROB = field(
    "local_logprob", pa.float32(), "log P(c_i+1 | c_i-2, c_i-1, c_i), summed over the target tokens", "nats"
)
TARGET_SCORE = field(
    "target_score", pa.float32(), "s_t(c_j) = candidate_logprob - local_logprob (paper section 3.2)", "nats"
)


def _check_logprobs(table: pa.Table) -> Iterator[str]:
    candidate, local = table.column("candidate_logprob").to_numpy(), table.column("local_logprob").to_numpy()
    if not (
        np.isfinite(candidate).all()
        and np.isfinite(local).all()
        and (candidate <= 0).all()
        and (local <= 0).all()
    ):
        yield "log-probabilities must be finite and not positive"
    if not (table.column("target_score").to_numpy() == candidate - local).all():
        yield "target_score must be candidate_logprob - local_logprob"


def _check_labels(table: pa.Table) -> Iterator[str]:
    yield from _check_pairs(table)
    yield from _check_logprobs(table)


LABELS = Contract(
    "labels",
    1,
    pa.schema(
        [
            DOC_ID,
            SPLIT,
            *PAIR,
            CANDIDATE_LOGPROB,
            LOCAL_LOGPROB,
            field(
                "candidate_halves",
                HALVES,
                "candidate_logprob of the first and the second half of the target",
                "nats",
            ),
            field(
                "local_halves", HALVES, "local_logprob of the first and the second half of the target", "nats"
            ),
            TARGET_SCORE,
        ]
    ),
    ("doc_id", "query_chunk", "rank"),
    _check_labels,
    facts=("stride_chunks", "sequence_chunks", "scorer"),
)


def _check_exhaustive(table: pa.Table) -> Iterator[str]:
    yield from unknown_splits(table)
    queries = table.group_by(["doc_id", "query_chunk"]).aggregate(
        [("candidate_chunk", how) for how in ("min", "max", "count")]
    )
    query, first, last, count = (queries.column(name).to_numpy() for name in queries.column_names[1:])
    # The sort key rules out doubles.
    if not (
        (first == 0) & (last == last_eligible(query, fact(table, "stride_chunks"))) & (count == last + 1)
    ).all():
        yield "the candidates of a query must be all its eligible chunks, and no others"
    if not np.isfinite(table.column("target_score").to_numpy()).all():
        yield "target_score must be finite"


EXHAUSTIVE = Contract(
    "exhaustive",
    1,
    pa.schema([DOC_ID, SPLIT, QUERY_CHUNK, CANDIDATE_CHUNK, TARGET_SCORE]),
    ("doc_id", "query_chunk", "candidate_chunk"),
    _check_exhaustive,
    facts=("stride_chunks", "scorer"),
)
"""A sample of queries with s_t of every eligible chunk; the other contracts hold what BM25 proposed."""


def _check_retrieved(table: pa.Table) -> Iterator[str]:
    yield from unknown_splits(table)
    query, candidate = (table.column(name).to_numpy() for name in ("query_chunk", "candidate_chunk"))
    if not is_eligible(query, candidate, fact(table, "stride_chunks")).all():
        yield "a neighbour that its query can see"
    yield from _check_logprobs(table)


RETRIEVED = Contract(
    "retrieved",
    1,
    pa.schema([DOC_ID, SPLIT, QUERY_CHUNK, CANDIDATE_CHUNK, CANDIDATE_LOGPROB, LOCAL_LOGPROB, TARGET_SCORE]),
    ("doc_id", "query_chunk", "candidate_chunk"),
    _check_retrieved,
    facts=("stride_chunks", "scorer"),
)
"""A sample of queries with s_t of every chunk that any system retrieved for them, whoever it was."""
