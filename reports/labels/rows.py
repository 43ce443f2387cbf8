"""The labels of one shard as arrays, with what its chunks say of them: the part that statistics and examples
are made of.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from data_contracts.candidates import LABELS
from data_contracts.contract import read_columns
from data_contracts.tokens import CHUNKS
from reports.labels.label_set import LabelSet
from reports.metrics.near_copies import containment


@dataclass(frozen=True)
class LabelRows:
    """Rows by document, query and rank.

    Attributes:
        documents: the rows of the set's index that this shard has, one a document D. document_R, query_R,
        candidate_R, rank_R: the row's document in `documents`, its query chunk, its candidate chunk, its BM25
        rank.
        score_R: s_t in nats a target token.
        copied_R: the share of the target's 8-grams that the candidate has, 0 below a half.
        begin_Q: the first row of each query.
    """

    documents: pl.DataFrame
    document_R: np.ndarray
    query_R: np.ndarray
    candidate_R: np.ndarray
    rank_R: np.ndarray
    score_R: np.ndarray
    copied_R: np.ndarray

    @property
    def begin_Q(self) -> np.ndarray:
        return np.flatnonzero(self.rank_R == 0)


def shards_of(label_set: LabelSet) -> Iterator[LabelRows]:
    """The labels, a shard after the other; nothing of the shard before is kept.

    Raises:
        Failure: (exit code 3) if a shard cannot be read.
    """
    for (shard,), documents in label_set.documents.group_by("shard", maintain_order=True):
        yield _rows_of(label_set, str(shard), documents)


def _rows_of(label_set: LabelSet, shard: str, documents: pl.DataFrame) -> LabelRows:
    names = ["query_chunk", "candidate_chunk", "rank", "target_score"]
    table = read_columns(LABELS, label_set.directory / shard, names)
    query, candidate, rank, score = (table.column(name).to_numpy() for name in names)
    document = np.repeat(np.arange(len(documents)), documents["label_end"] - documents["label_begin"])
    token_ids = (
        read_columns(CHUNKS, label_set.directory.with_name("chunks") / shard, ["token_ids"])
        .column("token_ids")
        .combine_chunks()
    )
    assert isinstance(token_ids, pa.ListArray)
    of_chunk = np.full(len(token_ids), -1)
    for number, (begin, end) in enumerate(documents.select("chunk_begin", "chunk_end").iter_rows()):
        of_chunk[begin:end] = number
    first = documents["chunk_begin"].to_numpy()[document]
    copied = containment(token_ids, of_chunk, first + query + 1, first + candidate)
    return LabelRows(
        documents, document, query, candidate, rank, score.astype(np.float64) / label_set.chunk_tokens, copied
    )


def most_candidates(label_set: LabelSet) -> int:
    """The largest number of candidates of a query; raises like `shards_of`."""
    shards = label_set.documents["shard"].unique(maintain_order=True)
    ranks = (
        read_columns(LABELS, label_set.directory / shard, ["rank"]).column("rank").to_numpy()
        for shard in shards
    )
    return 1 + max((int(rank.max()) for rank in ranks), default=-1)
