"""Chunks, queries and pairs of a whole label set that answer a question, shard by shard, for a bounded time
and number of hits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from reports.browser.answers import answers, documents_of
from reports.browser.library import LabelLibrary
from reports.site.address import Question

HITS = 50
SECONDS = 3.0
# column of `LabelSet.queries`; highest first?
ORDERS = {"best": ("best", True), "worst": ("best", False), "first": ("first", False)}


@dataclass(frozen=True)
class Hit:
    """A chunk or query that answers a question.

    Attributes:
        key: of its document in addresses. text: of the chunk, or of the target where no text was searched
            for. best, best_rank, candidate, first: as in `LabelSet.queries`, or the pair's own; None for a
            chunk that is no query.
    """

    doc_id: str
    key: str
    source: str
    split: str
    chunk: int
    text: str
    best: float | None
    best_rank: int | None
    candidate: int | None
    first: float | None

    def shown(self, order: str) -> float | None:
        """The s_t by which hits are put in an order, or the best where they stand as in the corpus."""
        return self.first if order == "first" else self.best


@dataclass(frozen=True)
class Found:
    """Answers to a question.

    Attributes:
        searched: shards searched, of the `shards` from where the question starts.
        seconds: what that took.
        rest: the question that goes on where this one was cut, in the order of the corpus.
    """

    hits: Sequence[Hit]
    searched: int
    shards: int
    seconds: float
    rest: Question | None


def search(library: LabelLibrary, question: Question) -> Found:
    """The first hits in the order of the corpus, or the foremost in `question.order`; no shard is begun after
    `SECONDS`.

    Raises:
        Failure: (exit code 3) if a shard cannot be read.
    """
    began = time.monotonic()
    documents = documents_of(library, question)
    shards = library.documents["shard"].unique(maintain_order=True).to_list()
    wanted = set(documents["shard"])
    parts, rest, searched = list[pl.DataFrame](), None, 0
    for number in range(question.shard, len(shards)):
        if searched and time.monotonic() - began > SECONDS:
            rest = replace(question, shard=number, row=0)
            break
        if shards[number] in wanted:
            parts = _foremost(
                [*parts, answers(library, number, shards[number], question, documents)], question
            )
        searched += 1
        if not question.order and sum(map(len, parts)) > HITS:
            rest = replace(question, shard=number, row=parts[-1]["row"][HITS - sum(map(len, parts[:-1]))])
            break
    hits = pl.concat(parts).head(HITS) if parts else pl.DataFrame()
    texts = _with_targets(library, hits) if parts and not question.q else hits
    return Found(
        [Hit(**hit) for hit in texts.drop("row", strict=False).iter_rows(named=True)],
        searched,
        len(shards) - question.shard,
        time.monotonic() - began,
        None if question.order else rest,
    )


def _foremost(parts: list[pl.DataFrame], question: Question) -> list[pl.DataFrame]:
    """The parts, or the first `HITS` rows of all in the order that is asked for; equal ones stay in the order
    of the corpus.
    """
    if not question.order:
        return parts
    column, highest = ORDERS[question.order]
    return [
        pl.concat(parts).sort(column, descending=highest, maintain_order=True, nulls_last=True).head(HITS)
    ]


def _with_targets(library: LabelLibrary, hits: pl.DataFrame) -> pl.DataFrame:
    texts = {
        (doc_id, chunk): text
        for doc_id in hits["doc_id"].unique(maintain_order=True)
        for chunk, text in library.sets[0].chunks(doc_id).select("chunk", "text").iter_rows()
    }
    targets = [
        texts.get((doc_id, chunk + 1), "") for doc_id, chunk in hits.select("doc_id", "chunk").iter_rows()
    ]
    return hits.with_columns(text=pl.Series(targets, dtype=pl.String))
