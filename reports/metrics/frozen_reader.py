"""A frozen reader: the reference LM itself, with what a retriever found in front of the query chunk and
nothing trained to read it.

In-Context RALM (Ram et al. 2023, arXiv 2302.00083): a neighbour and its continuation stand where the local
context stood, so prompts are of the same length for all. Of two neighbours the LM reads each by itself and
its probabilities are averaged, as in REPLUG (Shi et al. 2023, arXiv 2301.12652), but with equal weights and
over the whole target at once: that is a distribution over targets too, and needs no more than the scores that
are there. It says what retrievers are worth to a reader that is the same for all. The queries are those of
the retrieved sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from data_contracts.eligibility import last_eligible
from data_contracts.evaluations import BM25_READERS, OWN
from reports.metrics.evaluation_rows import Evaluations
from reports.metrics.published import names_of
from reports.metrics.resampling import Estimate, Sums
from reports.metrics.retrieval import QUERY
from reports.metrics.retrieval_rows import mean_sums

NOTHING, LATEST, BEST = "nothing", "latest", "best of all scored"
PLACES = 2
VALUE = "logprob"
Reader = tuple[str, int]
"""Who chose, and how many neighbours are read."""


@dataclass(frozen=True)
class FrozenFigures:
    """The frozen reader with what a retriever found: perplexity of the targets in tokens of the corpus, its
    interval, and the gain over `nothing` in nats a token. `system` is None where no system chose."""

    retriever: str
    neighbours: int
    system: str | None
    perplexity: float | None
    low: float | None
    high: float | None
    gain: Estimate
    queries: int
    documents: int


def frozen_readings(
    evaluations: Evaluations, retrieved: pl.DataFrame, stride_chunks: int
) -> dict[Reader, pl.DataFrame]:
    """By reader a row (doc_id, chunk, logprob) for each query of the sample: log P(target) in nats.

    `nothing` is the local context; `latest` the latest chunk that may be retrieved; `best of all scored`
    knows the target. A query for which a run read nothing has the local context; one with a single neighbour
    is read with that.
    """
    scored = retrieved.select(
        "doc_id", "candidate_logprob", "local_logprob", chunk="query_chunk", candidate="candidate_chunk"
    )
    scored = scored.join(evaluations.chunks, on=QUERY, how="semi", maintain_order="left")
    queries = scored.select(*QUERY, "local_logprob").unique(QUERY, keep="first", maintain_order=True)
    if not len(queries):
        return {}
    latest = queries.select(*QUERY, candidate=last_eligible(pl.col("chunk"), stride_chunks).cast(pl.Int32))
    best = scored.sort("candidate_logprob", descending=True).unique(QUERY, keep="first", maintain_order=True)
    found = {
        (NOTHING, 0): _read(queries, scored, latest.clear()),
        (LATEST, 1): _read(queries, scored, latest),
    }
    names = names_of(evaluations.systems)
    for run in evaluations.readers():
        name = "BM25" if evaluations.systems[run] in BM25_READERS else names[run]
        read = evaluations.chunks.select(*QUERY).with_columns(evaluations.frames[run, OWN]["retrieved"])
        for count in range(1, PLACES + 1):
            chosen = (
                read.select(*QUERY, candidate=pl.col("retrieved").list.head(count))
                .explode("candidate")
                .drop_nulls()
            )
            found.setdefault((name, count), _read(queries, scored, chosen))
    return {**found, (BEST, 1): _read(queries, scored, best.select(*QUERY, "candidate"))}


def _read(queries: pl.DataFrame, scored: pl.DataFrame, chosen: pl.DataFrame) -> pl.DataFrame:
    """log of the mean of P(target) over the candidates `chosen` (doc_id, chunk, candidate) for each query."""
    rows = queries.join(chosen, on=QUERY, how="left", maintain_order="left")
    rows = rows.join(
        scored.drop("local_logprob"), on=[*QUERY, "candidate"], how="left", maintain_order="left"
    )
    logprob = pl.coalesce("candidate_logprob", "local_logprob").cast(pl.Float64)
    highest = logprob.max()
    return rows.group_by(QUERY, maintain_order=True).agg(
        (highest + (logprob - highest).exp().mean().log()).alias(VALUE)
    )


def frozen_sums(evaluations: Evaluations, readings: dict[Reader, pl.DataFrame]) -> dict[str, np.ndarray]:
    """[B, 2] by name: the log-probabilities of a block's queries, and how many there are."""
    found = dict[str, np.ndarray]()
    for reader, rows in readings.items():
        found |= mean_sums(evaluations, _name(reader), rows)
    return found


def frozen_figures(
    evaluations: Evaluations, sums: Sums, readings: dict[Reader, pl.DataFrame], chunk_tokens: int
) -> list[FrozenFigures]:
    """A row a reader, in the order of `readings`."""
    system_of = {name: evaluations.systems[run] for run, name in names_of(evaluations.systems).items()}
    rows = []
    for reader, values in readings.items():
        perplexity, gain = _measured(sums, _place(reader), _place((NOTHING, 0)), chunk_tokens)
        counts = (len(values), values["doc_id"].n_unique())
        rows.append(
            FrozenFigures(
                *reader,
                system_of.get(reader[0]),
                perplexity.value,
                perplexity.low,
                perplexity.high,
                gain,
                *counts,
            )
        )
    return rows


def _measured(sums: Sums, name: str, nothing: str, chunk_tokens: int) -> tuple[Estimate, Estimate]:
    """Perplexity, and the gain over `nothing`."""
    perplexity = sums.combined(lambda at: np.exp(-at(name)[..., 0] / (at(name)[..., 1] * chunk_tokens)))
    return perplexity, sums.combined(
        lambda at: (at(name) - at(nothing))[..., 0] / (at(name)[..., 1] * chunk_tokens)
    )


def _name(reader: Reader) -> str:
    return f"{reader[0]}, {reader[1]}, frozen"


def _place(reader: Reader) -> str:
    return f"{VALUE} of {_name(reader)}"
