"""Precision@2 of what each system read, for a sample of queries of which the reference LM scored all of it.

No neighbour without a score counts as not relevant here, so the figure is exact; against labels it is a lower
bound. A place that holds no chunk, because a query has one eligible chunk or its system read only one, is not
relevant, as in the other figures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from data_contracts import counting
from data_contracts.evaluations import BM25_READERS, OWN
from data_contracts.failure import Exit, Failure
from reports.metrics.evaluation_rows import Evaluations
from reports.metrics.published import names_of
from reports.metrics.resampling import Estimate, Sums
from reports.metrics.retrieval import QUERY, Gold, query_figures
from reports.metrics.retrieval_rows import mean_interval, mean_sums

PLACES = 2
FIGURE = "precision_at_2"
CHANCE = "random"


@dataclass(frozen=True)
class SampleFigures:
    """Precision@2 of what a retriever gave for the `queries` of the sample, which are of so many
    `documents`.
    """

    retriever: str
    system: str | None
    precision_at_2: Estimate
    queries: int
    documents: int


def exact_precision(evaluations: Evaluations, scored: Gold, exhaustive: Gold) -> dict[str, pl.DataFrame]:
    """By retriever a row (doc_id, chunk, precision_at_2) for each query of the sample `scored`. Those that
    read BM25's ranking are one.

    Chance comes first, if any query of the sample is also in the `exhaustive` one, and is over those alone.

    Raises:
        Failure: (exit code 3) if a chunk that a run read for a query of the sample has no score.
    """
    found, names = dict[str, pl.DataFrame](), names_of(evaluations.systems)
    both = exhaustive.queries.join(scored.queries, on=QUERY, how="semi", maintain_order="left")
    if len(both):
        found[CHANCE] = query_figures(Gold(both, exhaustive.scored), None).select(*QUERY, FIGURE)
    for run in evaluations.readers() if len(scored.queries) else []:
        name = "BM25" if evaluations.systems[run] in BM25_READERS else names[run]
        found.setdefault(name, _precision(evaluations, run, scored))
    return found


def _precision(evaluations: Evaluations, run: str, scored: Gold) -> pl.DataFrame:
    read = evaluations.chunks.select(*QUERY).with_columns(
        candidate=evaluations.frames[run, OWN]["retrieved"].list.head(PLACES)
    )
    read = scored.queries.select(*QUERY).join(read, on=QUERY, how="left", maintain_order="left")
    pairs = read.explode("candidate").join(
        scored.scored, on=[*QUERY, "candidate"], how="left", maintain_order="left"
    )
    lacking = pairs.filter(pl.col("candidate").is_not_null() & pl.col("gain").is_null())
    if len(lacking):
        cause = f"{len(lacking)} of the chunks that {run} read for the sampled queries have no score"
        raise Failure(
            "the retrieved sample is not of these evaluations",
            cause,
            "re-run the stage retrieved",
            Exit.CONTRACT,
        )
    return pairs.group_by(QUERY, maintain_order=True).agg(
        (counting.how_many(pl.col("gain") > 0) / PLACES).alias(FIGURE)
    )


def precision_sums(evaluations: Evaluations, exact: dict[str, pl.DataFrame]) -> dict[str, np.ndarray]:
    """[B, 2] by name: the precisions of a block's queries, and how many there are."""
    found = dict[str, np.ndarray]()
    for name, figures in exact.items():
        found |= mean_sums(evaluations, f"{name} in retrieved", figures)
    return found


def precision_figures(
    evaluations: Evaluations, sums: Sums, exact: dict[str, pl.DataFrame]
) -> list[SampleFigures]:
    """A row a retriever."""
    system_of = {name: evaluations.systems[run] for run, name in names_of(evaluations.systems).items()}
    return [
        SampleFigures(
            name,
            system_of.get(name),
            Estimate(
                float(figures[FIGURE].to_numpy().mean()), *mean_interval(sums, f"{name} in retrieved", FIGURE)
            ),
            len(figures),
            figures["doc_id"].n_unique(),
        )
        for name, figures in exact.items()
    ]
