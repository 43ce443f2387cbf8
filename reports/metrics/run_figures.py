"""All figures of the systems of a corpus, from evaluations, labels, candidates and chunks: what report.json
says of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import polars as pl

from data_contracts.evaluations import BASELINE, OWN
from reports.metrics.evaluation_rows import Evaluations, control_of
from reports.metrics.frozen_reader import FrozenFigures, frozen_figures, frozen_readings, frozen_sums
from reports.metrics.gain_examples import GainExample, gain_examples
from reports.metrics.neighbours_at_test import (
    OracleAllFigures,
    OracleFigures,
    SettingFigures,
    oracle_all_figures,
    oracle_figures,
    settings_figures,
)
from reports.metrics.perplexity import Perplexity, difference, resampled, summarise, token_sums
from reports.metrics.positions import Positions, position_figures, position_sums
from reports.metrics.published import published_perplexity
from reports.metrics.resampling import Estimate, Sums
from reports.metrics.retrieval import QUERY, Gold, gold_of
from reports.metrics.retrieval_rows import RetrieverFigures, measured, retrieval_figures, retrieval_sums
from reports.metrics.retrieved_sample import SampleFigures, exact_precision, precision_figures, precision_sums
from reports.metrics.seeds import Order, SeedFigures, orders, seed_figures
from reports.metrics.subgroup_gain import SubgroupFigures, subgroup_figures, subgroup_sums
from reports.metrics.token_overlap import OverlapFigures, overlap_figures, overlap_sums


@dataclass(frozen=True)
class Evidence:
    """What the figures are made of: every run in its own setting, and beside it in others and with the
    oracles' neighbours, if it was; `labels`, `exhaustive`, `retrieved`, `candidates` and `chunks` are those
    of the evaluated split."""

    evaluations: Evaluations
    in_settings: Evaluations | None
    with_oracle: Evaluations | None
    labels: pl.DataFrame
    exhaustive: pl.DataFrame
    retrieved: pl.DataFrame
    candidates: pl.DataFrame
    chunks: pl.DataFrame
    chunk_tokens: int
    stride_chunks: int


@dataclass(frozen=True)
class Gain(Estimate):
    """Nats a token that a run is better than the run `against`, on the same tokens and resamples."""

    against: str


@dataclass(frozen=True)
class RunPerplexity(Perplexity):
    """A run in its own setting: its perplexity, that of its system on the paper's corpora, and what it gains
    over Transformer-XL and over random retrieval, None without a run of these or for these themselves."""

    run: str
    system: str
    seed: int
    published: Mapping[str, float]
    difference: Gain | None
    over_random: Gain | None

    @property
    def setting(self) -> str:
        """That of the system itself."""
        return OWN


@dataclass(frozen=True)
class RunFigures:
    """All sections of report.json that are measured from evaluations; a section that was not evaluated has no
    row.
    """

    systems: Sequence[RunPerplexity]
    seeds: Sequence[SeedFigures]
    orders: Sequence[Order]
    settings: Sequence[SettingFigures]
    oracles: Sequence[OracleFigures]
    oracles_all: Sequence[OracleAllFigures]
    positions: Positions
    retrieval: Sequence[RetrieverFigures]
    rerank: Sequence[RetrieverFigures]
    exhaustive: Sequence[RetrieverFigures]
    retrieved: Sequence[SampleFigures]
    frozen_reader: Sequence[FrozenFigures]
    overlap: Sequence[OverlapFigures]
    subgroups: Sequence[SubgroupFigures]
    gain_examples: Sequence[GainExample]


def run_figures(evidence: Evidence, samples: int, seed: int = 0) -> RunFigures:
    """All figures of the systems. Intervals are of the same resamples, except those of other settings and of
    the oracle, which may be of fewer documents: each of these two sections has a bootstrap of its own."""
    evaluations = evidence.evaluations
    gold, exact, read = (
        _gold(evidence, rows) for rows in (evidence.labels, evidence.exhaustive, evidence.retrieved)
    )
    lists = {"retrieval": gold, "rerank": gold, **({"exhaustive": exact} if len(exact.queries) else {})}
    ranked = [
        row
        for of in lists
        for row in measured(evaluations, evidence.candidates, of, lists[of], rerank=of == "rerank")
    ]
    precision, worth = exact_precision(evaluations, read, exact), read if len(read.queries) else gold
    frozen = frozen_readings(evaluations, evidence.retrieved, evidence.stride_chunks)
    by_block = {
        **token_sums(evaluations, gold.queries),
        **position_sums(evaluations, evidence.chunk_tokens),
        **overlap_sums(evaluations, evidence.chunks.select(*QUERY, "token_ids"), evidence.chunk_tokens),
        **subgroup_sums(evaluations, worth),
        **retrieval_sums(evaluations, ranked),
        **precision_sums(evaluations, precision),
        **frozen_sums(evaluations, frozen),
    }
    sums = resampled(evaluations, by_block, samples, seed)

    def beside(others: Evaluations, scored: Gold = gold) -> Sums:
        return resampled(others, token_sums(others, scored.queries), samples, seed)

    systems = [_system(evaluations, sums, run) for run in evaluations.systems]
    reached = [(row.system, row.perplexity) for row in systems]
    settings, oracle = evidence.in_settings, evidence.with_oracle
    return RunFigures(
        systems=systems,
        seeds=seed_figures(reached),
        orders=orders(reached),
        settings=settings_figures(settings, beside(settings)) if settings else [],
        oracles=oracle_figures(oracle, beside(oracle)) if oracle else [],
        oracles_all=oracle_all_figures(oracle, beside(oracle, exact)) if oracle else [],
        positions=position_figures(evaluations, sums),
        retrieval=retrieval_figures(sums, ranked, "retrieval"),
        rerank=retrieval_figures(sums, ranked, "rerank"),
        exhaustive=retrieval_figures(sums, ranked, "exhaustive"),
        retrieved=precision_figures(evaluations, sums, precision),
        frozen_reader=frozen_figures(evaluations, sums, frozen, evidence.chunk_tokens),
        overlap=overlap_figures(evaluations, sums),
        subgroups=subgroup_figures(evaluations, sums, worth, "labels" if worth is gold else "retrieved"),
        gain_examples=gain_examples(
            evaluations, evidence.labels, evidence.chunks.select(*QUERY, "text"), evidence.chunk_tokens
        ),
    )


def _system(evaluations: Evaluations, sums: Sums, run: str) -> RunPerplexity:
    """One run: its perplexity, and what it gains over Transformer-XL and over random retrieval."""
    system = evaluations.systems[run]
    control = control_of(system)
    against = {name: evaluations.counterpart(run, name) for name in (BASELINE, control)}
    gains = {
        name: (
            Gain(**asdict(difference(sums, (run, OWN), (other, OWN))), against=other)
            if other and other != run
            else None
        )
        for name, other in against.items()
    }
    found = summarise(evaluations, sums, (run, OWN))
    return RunPerplexity(
        **vars(found),
        run=run,
        system=system,
        seed=evaluations.seeds[run],
        published=published_perplexity(system),
        difference=gains[BASELINE],
        over_random=gains[control],
    )


def _gold(evidence: Evidence, scored: pl.DataFrame) -> Gold:
    """Gold of the scored queries that evaluation reached."""
    reached = evidence.evaluations.chunks.select("doc_id", pl.col("chunk").alias("query_chunk"))
    return gold_of(
        scored.join(reached, on=["doc_id", "query_chunk"], how="semi"),
        evidence.chunk_tokens,
        evidence.stride_chunks,
    )
