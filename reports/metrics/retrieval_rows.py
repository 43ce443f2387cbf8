"""Every retriever of a corpus against the same gold, with the 95 % interval of each figure: the rows of Table
3.

A figure is a mean over queries, so it is two sums over blocks, and is resampled with all else that is
compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from data_contracts.evaluations import BM25_READERS, OWN
from reports.metrics.evaluation_rows import Evaluations
from reports.metrics.published import names_of
from reports.metrics.resampling import Estimate, Sums
from reports.metrics.retrieval import CUTS, QUERY, Gold, bm25_ranking, means, query_figures, recency_ranking


@dataclass(frozen=True)
class Measured:
    """One retriever against one gold: `figures` has a row a query, with a column for each of `CUTS`, null
    where it does not count.

    `of` is the name of the gold; `system` that of the system, if the retriever is a run's own.
    """

    of: str
    retriever: str
    system: str | None
    gold: Gold
    figures: pl.DataFrame


@dataclass(frozen=True)
class Counted(Estimate):
    """A mean over so many `queries`."""

    queries: int


@dataclass(frozen=True)
class RetrieverFigures:
    """A retriever against a gold: each figure of `CUTS` by its name. `documents` are those of the queries
    that Precision@2 is over.
    """

    retriever: str
    system: str | None
    figures: Mapping[str, Counted]
    documents: int
    queries: int
    queries_with_positive: int


def measured(
    evaluations: Evaluations, candidates: pl.DataFrame, of: str, gold: Gold, *, rerank: bool = False
) -> list[Measured]:
    """All retrievers against `gold`: chance, the nearest chunks, BM25, and every run that has a ranking of
    its own.
    """
    system_of = {name: evaluations.systems[run] for run, name in names_of(evaluations.systems).items()}
    return [
        Measured(of, name, system_of.get(name), gold, query_figures(gold, ranking, rerank=rerank))
        for name, ranking in _rankings(evaluations, candidates, gold).items()
    ]


def _rankings(
    evaluations: Evaluations, candidates: pl.DataFrame, gold: Gold
) -> dict[str, pl.DataFrame | None]:
    """Every retriever's ranking by its name; None is chance. RETRO reads BM25's, which stands there
    already.
    """
    found: dict[str, pl.DataFrame | None] = {
        "random": None,
        "recency": recency_ranking(gold),
        "BM25": bm25_ranking(candidates),
    }
    names = names_of(evaluations.systems)
    for run, system in evaluations.systems.items():
        ranking = evaluations.frames[run, OWN]["ranking"]
        if system not in BM25_READERS and (ranking.list.len() > 0).any():
            found[names[run]] = evaluations.chunks.select(*QUERY).with_columns(ranking)
    return found


def mean_sums(evaluations: Evaluations, name: str, figures: pl.DataFrame) -> dict[str, np.ndarray]:
    """[B, 2] by the name of the mean of each column of `figures` (doc_id, chunk, ...): its sum, and how many
    are not null.
    """
    rows = evaluations.chunks.select(*QUERY).join(figures, on=QUERY, how="left", maintain_order="left")
    return {
        f"{column} of {name}": evaluations.by_block(
            rows[column].fill_null(0.0).to_numpy(), rows[column].is_not_null().to_numpy()
        )
        for column in figures.columns
        if column not in QUERY
    }


def mean_interval(sums: Sums, name: str, column: str) -> tuple[float | None, float | None]:
    """The low and the high end of the interval of such a mean."""
    found = sums.combined(lambda at: at(f"{column} of {name}")[..., 0] / at(f"{column} of {name}")[..., 1])
    return found.low, found.high


def retrieval_sums(evaluations: Evaluations, rows: list[Measured]) -> dict[str, np.ndarray]:
    """The sums of all figures of `rows`, by name."""
    found = dict[str, np.ndarray]()
    for row in rows:
        found |= mean_sums(evaluations, f"{row.retriever} in {row.of}", row.figures)
    return found


def retrieval_figures(sums: Sums, rows: list[Measured], of: str) -> list[RetrieverFigures]:
    """The rows of one gold: each figure, its interval, and how many queries and documents it is over."""
    return [_figures(sums, row) for row in rows if row.of == of]


def _figures(sums: Sums, row: Measured) -> RetrieverFigures:
    found = means(row.gold, row.figures)
    ends = {name: mean_interval(sums, f"{row.retriever} in {row.of}", name) for name in CUTS}
    figures = {name: Counted(found.figures[name], *ends[name], found.counted[name]) for name in CUTS}
    return RetrieverFigures(
        row.retriever, row.system, figures, found.documents, found.queries, found.queries_with_positive
    )
