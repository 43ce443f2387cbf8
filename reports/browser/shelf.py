"""The opened label sets, one or two to compare, and the documents that were read from them last."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np
import polars as pl

from data_contracts.failure import Exit, Failure
from reports.browser.address import Missing, View, key_of
from reports.label_set import LabelSet

KEPT_DOCUMENTS = 6
COLUMNS = ("query_chunk", "candidate_chunk", "rank", "bm25", "candidate_halves", "local_halves", "target_score")


class ReferenceLM(Protocol):
    """Scores what a person looks at."""

    def pieces(self, token_ids: np.ndarray) -> list[str]:
        """The text of a chunk, a piece a token."""
        ...

    def gains(self, chunks: Sequence[np.ndarray], query: int, candidates: Sequence[int]) -> np.ndarray:
        """Nats by which each candidate makes each target token more likely, float32 [n, m]."""
        ...


@dataclass(frozen=True)
class Candidate:
    """A candidate of a query.

    Attributes:
        chunk: j; bm25; halves: the parts of s_t from the first and second half of the target, nats.
        ranks, scores: BM25 rank from 0 and s_t (nats) in each of the label sets, None where it has no such pair.
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
        place: its row of `LabelSet.documents`, with `key` and `number` (its row); texts, token_ids: of its chunks.
        queries: chunks that are queries in any of the sets, ascending.
        best, best_rank: best s_t of every chunk and the BM25 rank of that candidate, by set; nan and -1 where it is no query.
    """

    place: dict
    texts: pl.Series
    token_ids: pl.Series
    labels: tuple[pl.DataFrame, ...]
    queries: np.ndarray
    best: tuple[np.ndarray, ...]
    best_rank: tuple[np.ndarray, ...]

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
        before, after = np.searchsorted(self.queries, query, "left"), np.searchsorted(self.queries, query, "right")
        return (int(self.queries[before - 1]) if before else None, int(self.queries[after]) if after < len(self.queries) else None)


def _candidate(chunk: int, rows: list[dict | None]) -> Candidate:
    known = next(row for row in rows if row)
    halves = tuple(with_it - without for with_it, without in zip(known["candidate_halves"], known["local_halves"], strict=True))
    return Candidate(
        chunk,
        known["bm25"],
        (halves[0], halves[1]),
        tuple(row["rank"] if row else None for row in rows),
        tuple(row["target_score"] if row else None for row in rows),
    )


class Shelf:
    """Label sets of one corpus.

    Args:
        sets: one, or two to compare; documents are those of the first.
        names: what to call them.
        scorers: the reference LM of each, None where there is none.
    """

    def __init__(self, sets: Sequence[LabelSet], names: Sequence[str], scorers: Sequence[ReferenceLM | None]):
        self.sets, self.names, self.scorers = tuple(sets), tuple(names), tuple(scorers)
        keys = pl.Series("key", [key_of(doc_id) for doc_id in sets[0].documents["doc_id"]])
        self.documents = sets[0].documents.with_columns(keys, rate=pl.col("positive") / pl.col("pairs")).with_row_index("number")
        self._rows = {key: number for number, key in enumerate(keys)}
        self._kept: OrderedDict[str, Document] = OrderedDict()
        self._lock = threading.Lock()
        self.listed: Callable[[str, str, str], pl.DataFrame] = lru_cache(maxsize=32)(self._listed)

    def _listed(self, find: str, split: str, sort: str) -> pl.DataFrame:
        chosen = self.documents.filter(in_source(find)) if find else self.documents
        chosen = chosen.filter(pl.col("split") == split) if split else chosen
        if sort:
            name = sort.removeprefix("-")
            column = "rate" if name == "positive" else name
            chosen = chosen.sort(column, descending=sort.startswith("-"), maintain_order=True, nulls_last=True)
        return chosen

    def place(self, key: str) -> dict:
        """The row of a document by its key in addresses.

        Raises:
            Missing: if there is none.
        """
        if key not in self._rows:
            cause = f"{self.names[0]} has labels for {len(self.documents):,} documents and none with this id"
            raise Missing(f"document {key[:80]!r}", cause, "look for it in the list of documents")
        return self.documents.row(self._rows[key], named=True)

    def beside(self, key: str, view: View) -> tuple[str | None, str | None]:
        """The keys of the documents before and after this one in the list that `view` shows, or in the corpus if it is not in that."""
        keys = self.listed(view.find, view.split, view.sort)["key"]
        at = keys.index_of(key)
        if at is None:
            keys, at = self.documents["key"], self._rows[key]
        return keys[at - 1] if at else None, keys[at + 1] if at + 1 < len(keys) else None

    def document(self, key: str) -> Document:
        """A document, read if it is not one of the last few.

        Raises:
            Missing: if there is none.
            Failure: (exit code 3) if it cannot be read, or if another set cuts it into other chunks.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        document = self._read(self.place(key))
        with self._lock:
            self._kept[key] = document
            while len(self._kept) > KEPT_DOCUMENTS:
                self._kept.popitem(last=False)
        return document

    def _read(self, place: dict) -> Document:
        doc_id, first = place["doc_id"], self.sets[0]
        chunks = first.chunks(doc_id)
        labels = [first.labels(doc_id).select(COLUMNS)]
        for other, name in zip(self.sets[1:], self.names[1:], strict=True):
            if (other.documents["doc_id"] == doc_id).any():
                if not other.chunks(doc_id)["text"].equals(chunks["text"]):
                    cause = f"{self.names[0]} and {name} cut it into other chunks, so their scores are of other texts"
                    raise Failure(f"document {doc_id!r}", cause, "compare labels made with one tokenizer", Exit.CONTRACT)
                labels.append(other.labels(doc_id).select(COLUMNS))
            else:
                labels.append(labels[0].clear())
        figures = [_best(rows, len(chunks)) for rows in labels]
        queries = np.unique(np.concatenate([rows["query_chunk"].to_numpy() for rows in labels]))
        best, best_rank = zip(*figures, strict=True)
        return Document(place, chunks["text"], chunks["token_ids"], tuple(labels), queries, best, best_rank)


def in_source(text: str) -> pl.Expr:
    """Whether a document has `text` in its source or its id, letter case aside."""
    wanted = text.lower()
    return pl.any_horizontal(pl.col(name).str.to_lowercase().str.contains(wanted, literal=True) for name in ("source", "doc_id"))


def _best(labels: pl.DataFrame, chunks: int) -> tuple[np.ndarray, np.ndarray]:
    score, rank = np.full(chunks, np.nan, np.float32), np.full(chunks, -1, np.int32)
    best = labels.group_by("query_chunk").agg(
        pl.col("target_score").max(), rank=pl.col("rank").get(pl.col("target_score").arg_max()).cast(pl.Int32)
    )
    at = best["query_chunk"].to_numpy()
    score[at], rank[at] = best["target_score"].to_numpy(), best["rank"].to_numpy()
    return score, rank
