"""Two versions of the labels of one corpus compared: more candidates, another scorer, another BM25."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from data_contracts.documents import SPLITS
from data_contracts.failure import Exit, Failure
from reports.labels.changes import QUERY, best_candidates, change_sums, figures
from reports.labels.label_set import LabelSet
from reports.labels.version_changes import (
    BestScore,
    Held,
    MovedPair,
    MovedQuery,
    PairScore,
    PartChanges,
    Version,
    VersionChanges,
)

BATCH_PAIRS = 1_000_000
CHECKED_DOCUMENTS = 16
COLUMNS = ["doc_id", "query_chunk", "candidate_chunk", "rank", "bm25", "target_score"]


def compare(a: LabelSet, b: LabelSet, movers: int = 20) -> VersionChanges:
    """What changes from `a` to `b`, with at most `movers` of the pairs and of the queries that changed most.

    Neighbouring documents are read together, so that a bounded number of pairs stands in memory.

    Raises:
        Failure: (exit code 2) if they have no document in common or cut documents into other chunks; (3) if
            rows cannot be read.
    """
    common = _common_documents(a, b)
    sums, candidates = list[pl.DataFrame](), {"a": 0, "b": 0}
    moved = {"pairs": pl.DataFrame(), "queries": pl.DataFrame()}
    for documents in _batches(common):
        rows = {name: _rows(labels, documents) for name, labels in (("a", a), ("b", b))}
        pairs = _side_by_side(rows["a"], rows["b"], [*QUERY, "candidate_chunk"], documents)
        queries = _side_by_side(best_candidates(rows["a"]), best_candidates(rows["b"]), QUERY, documents)
        sums.append(change_sums(pairs, queries))
        candidates = {
            name: max(most, rows[name]["rank"].to_numpy().max() + 1) for name, most in candidates.items()
        }
        for name, part in (("pairs", pairs), ("queries", queries)):
            moved[name] = _most_changed(pl.concat([moved[name], part], how="diagonal"), movers)
    return VersionChanges(
        a=_described(a, candidates["a"]),
        b=_described(b, candidates["b"]),
        documents=Held(len(common), len(a.documents) - len(common), len(b.documents) - len(common)),
        splits=_by_split(a.documents, b.documents, pl.concat(sums, how="diagonal")),
        movers=[_moved_pair(row) for row in moved["pairs"].iter_rows(named=True)],
        best_movers=[_moved_query(row) for row in moved["queries"].iter_rows(named=True)],
    )


def _common_documents(a: LabelSet, b: LabelSet) -> pl.DataFrame:
    """The documents of `a` that `b` has too, with the pairs of both."""
    if a.chunk_tokens != b.chunk_tokens:
        raise _other_chunks(
            f"{a.directory} has chunks of {a.chunk_tokens} tokens, {b.directory} of {b.chunk_tokens}"
        )
    theirs = b.documents.select("doc_id", chunks_b="chunks", pairs_b="pairs")
    common = a.documents.with_row_index("place").join(theirs, on="doc_id", maintain_order="left")
    if common.is_empty():
        cause = (
            f"none of the {len(a.documents):,} documents of {a.directory} is among the {len(b.documents):,}"
            f" of {b.directory}"
        )
        raise Failure(
            "labels of different corpora",
            cause,
            "compare two versions of the labels of one corpus",
            Exit.USAGE,
        )
    for document in common.filter(pl.col("chunks") != pl.col("chunks_b")).iter_rows(named=True):
        raise _other_chunks(
            f"document {document['doc_id']!r} has {document['chunks']} chunks in {a.directory}, not"
            f" {document['chunks_b']}"
        )
    for doc_id in common["doc_id"].gather_every(-(-len(common) // CHECKED_DOCUMENTS)):
        if not a.chunks(doc_id)["token_ids"].equals(b.chunks(doc_id)["token_ids"]):
            raise _other_chunks(f"the tokens of document {doc_id!r} differ")
    return common


def _other_chunks(cause: str) -> Failure:
    remedy = "compare labels made with one tokenizer and one geometry.chunk_tokens"
    return Failure("labels over different chunks cannot be compared", cause, remedy, Exit.USAGE)


def _batches(common: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Neighbouring documents that have about `BATCH_PAIRS` pairs together."""
    batch = (pl.col("pairs") + pl.col("pairs_b")).cum_sum() // BATCH_PAIRS
    yield from common.with_columns(batch=batch).partition_by("batch", maintain_order=True)


def _rows(labels: LabelSet, documents: pl.DataFrame) -> pl.DataFrame:
    """The labels of some documents, with the place of a document for its id."""
    rows = labels.labels_of(documents["doc_id"], COLUMNS)
    return rows.join(documents.select("doc_id", "place"), on="doc_id", maintain_order="left").drop("doc_id")


def _side_by_side(a: pl.DataFrame, b: pl.DataFrame, key: list[str], documents: pl.DataFrame) -> pl.DataFrame:
    joined = a.join(b, on=key, suffix="_b", maintain_order="left").join(
        documents.select("place", "doc_id", "split", "source"), on="place", maintain_order="left"
    )
    return joined.with_columns(change=pl.col("target_score_b").cast(pl.Float64) - pl.col("target_score"))


def _most_changed(rows: pl.DataFrame, count: int) -> pl.DataFrame:
    return (
        rows.filter(pl.col("change") != 0)
        .sort(
            pl.col("change").abs(),
            "place",
            "query_chunk",
            "candidate_chunk",
            descending=[True, False, False, False],
        )
        .head(count)
    )


def _described(labels: LabelSet, candidates: int) -> Version:
    return Version(
        str(labels.directory),
        labels.digest,
        labels.scorer,
        int(candidates),
        labels.stride_chunks,
        labels.sequence_chunks,
    )


def _by_split(a: pl.DataFrame, b: pl.DataFrame, sums: pl.DataFrame) -> dict[str, PartChanges]:
    b = b.update(a.select("doc_id", "split"), on="doc_id")
    splits = [split for split in SPLITS if split in {*a["split"], *b["split"]}]
    parts = {"all": pl.lit(True), **{split: pl.col("split") == split for split in splits}}
    return {name: figures(a.filter(part), b.filter(part), sums.filter(part)) for name, part in parts.items()}


def _place(row: Mapping[str, Any]) -> tuple[str, str, str, int]:
    return row["doc_id"], row["source"], row["split"], row["query_chunk"]


def _moved_pair(row: Mapping[str, Any]) -> MovedPair:
    a, b = (
        PairScore(row[f"rank{side}"], row[f"bm25{side}"], row[f"target_score{side}"]) for side in ("", "_b")
    )
    return MovedPair(*_place(row), row["candidate_chunk"], row["change"], a, b)


def _moved_query(row: Mapping[str, Any]) -> MovedQuery:
    a, b = (BestScore(row[f"candidate_chunk{side}"], row[f"target_score{side}"]) for side in ("", "_b"))
    return MovedQuery(*_place(row), row["change"], a, b)
