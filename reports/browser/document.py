"""One document of a label set, or of two that are compared, with its texts and its candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from data_contracts.failure import Exit, Failure
from reports.labels.label_set import LabelledDocument, LabelSet
from reports.site.address import key_of

COLUMNS = (
    "query_chunk",
    "candidate_chunk",
    "rank",
    "bm25",
    "candidate_halves",
    "local_halves",
    "target_score",
)


@dataclass(frozen=True)
class Candidate:
    """A candidate of a query.

    Attributes:
        chunk: j; bm25; halves: the parts of s_t from the first and second half of the target, nats. ranks,
        scores: BM25 rank from 0 and s_t (nats) in each of the label sets, None where it has no such pair.
        place: its place from 0 when the candidates are ordered by s_t.
    """

    chunk: int
    bm25: float
    halves: tuple[float, float]
    ranks: tuple[int | None, ...]
    scores: tuple[float | None, ...]
    place: int = 0

    @property
    def flipped(self) -> bool:
        """Whether one label set calls it positive and another does not."""
        return len({score > 0 for score in self.scores if score is not None}) > 1


@dataclass(frozen=True)
class Document:
    """One document with its labels in every label set.

    Attributes:
        facts: what the first set says of it; texts, token_ids: of its chunks.
        queries: chunks that are queries in any of the sets, ascending. best, best_rank: best s_t of every
        chunk and the BM25 rank of that candidate, by set; nan and -1 where it is no query.
    """

    facts: LabelledDocument
    texts: pl.Series
    token_ids: pl.Series
    labels: tuple[pl.DataFrame, ...]
    queries: np.ndarray
    best: tuple[np.ndarray, ...]
    best_rank: tuple[np.ndarray, ...]

    @property
    def key(self) -> str:
        """It in addresses."""
        return key_of(self.facts.doc_id)

    def candidates(self, query: int) -> list[Candidate]:
        """The candidates of a query, by the first set's s_t; those that it lacks come last."""
        found: dict[int, list[dict | None]] = {}
        for number, labels in enumerate(self.labels):
            column = labels["query_chunk"]
            begin, end = column.search_sorted(query, "left"), column.search_sorted(query, "right")
            for row in labels[int(begin) : int(end)].iter_rows(named=True):
                found.setdefault(row["candidate_chunk"], [None] * len(self.labels))[number] = row
        made = [_candidate(chunk, rows) for chunk, rows in found.items()]
        made.sort(key=lambda one: ([(score is None, -(score or 0.0)) for score in one.scores], one.chunk))
        return [replace(one, place=place) for place, one in enumerate(made)]

    def beside(self, query: int) -> tuple[int | None, int | None]:
        """The queries before and after a chunk."""
        before, after = (
            np.searchsorted(self.queries, query, "left"),
            np.searchsorted(self.queries, query, "right"),
        )
        return (
            int(self.queries[before - 1]) if before else None,
            int(self.queries[after]) if after < len(self.queries) else None,
        )


def _candidate(chunk: int, rows: list[dict | None]) -> Candidate:
    known = next(row for row in rows if row)
    halves = tuple(
        with_it - without
        for with_it, without in zip(known["candidate_halves"], known["local_halves"], strict=True)
    )
    return Candidate(
        chunk,
        known["bm25"],
        (halves[0], halves[1]),
        tuple(row["rank"] if row else None for row in rows),
        tuple(row["target_score"] if row else None for row in rows),
    )


def read_document(sets: Sequence[LabelSet], names: Sequence[str], doc_id: str) -> Document:
    """A document that the first of the sets has.

    Raises:
        Failure: (exit code 3) if it cannot be read, or if another set cuts it into other chunks.
    """
    first = sets[0]
    chunks = first.chunks(doc_id)
    labels = [first.labels(doc_id).select(COLUMNS)]
    for other, name in zip(sets[1:], names[1:], strict=True):
        if (other.documents["doc_id"] == doc_id).any():
            if not other.chunks(doc_id)["text"].equals(chunks["text"]):
                cause = f"{names[0]} and {name} cut it into other chunks, so their scores are of other texts"
                raise Failure(
                    f"document {doc_id!r}", cause, "compare labels made with one tokenizer", Exit.CONTRACT
                )
            labels.append(other.labels(doc_id).select(COLUMNS))
        else:
            labels.append(labels[0].clear())
    figures = [_best(rows, len(chunks)) for rows in labels]
    queries = np.unique(np.concatenate([rows["query_chunk"].to_numpy() for rows in labels]))
    best, best_rank = zip(*figures, strict=True)
    facts = first.document(doc_id)
    return Document(facts, chunks["text"], chunks["token_ids"], tuple(labels), queries, best, best_rank)


def _best(labels: pl.DataFrame, chunks: int) -> tuple[np.ndarray, np.ndarray]:
    score, rank = np.full(chunks, np.nan, np.float32), np.full(chunks, -1, np.int32)
    best = labels.group_by("query_chunk").agg(
        pl.col("target_score").max(), rank=pl.col("rank").get(pl.col("target_score").arg_max()).cast(pl.Int32)
    )
    at = best["query_chunk"].to_numpy()
    score[at], rank[at] = best["target_score"].to_numpy(), best["rank"].to_numpy()
    return score, rank
