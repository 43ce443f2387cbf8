"""All figures of the systems of a corpus, from evaluations, labels, candidates and chunks: what report.json says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from data_contracts.evaluations import BASELINE, OWN
from reports.metrics.evaluation_rows import Evaluations, control_of
from reports.metrics.frozen_reader import frozen_figures, frozen_readings, frozen_sums
from reports.metrics.gain_examples import gain_examples
from reports.metrics.neighbours_at_test import oracle_all_figures, oracle_figures, settings_figures
from reports.metrics.perplexity import difference, resampled, summarise, token_sums
from reports.metrics.positions import position_figures, position_sums
from reports.metrics.published import published_perplexity
from reports.metrics.resampling import Sums
from reports.metrics.retrieval import QUERY, Gold, gold_of
from reports.metrics.retrieval_rows import measured, retrieval_figures, retrieval_sums
from reports.metrics.retrieved_sample import exact_precision, precision_figures, precision_sums
from reports.metrics.seeds import orders, seed_figures
from reports.metrics.subgroup_gain import subgroup_figures, subgroup_sums
from reports.metrics.token_overlap import overlap_figures, overlap_sums


@dataclass(frozen=True)
class Evidence:
    """What the figures are made of: every run in its own setting, and beside it in others and with the oracles' neighbours, if it was;
    `labels`, `exhaustive`, `retrieved`, `candidates` and `chunks` are those of the evaluated split."""

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


def run_figures(evidence: Evidence, samples: int, seed: int = 0) -> dict[str, Any]:
    """All sections of report.json that are about systems. Intervals are of the same resamples, except those of other settings and of the
    oracle, which may be of fewer documents: each of these two sections has a bootstrap of its own."""
    evaluations = evidence.evaluations
    gold, exact, read = (_gold(evidence, rows) for rows in (evidence.labels, evidence.exhaustive, evidence.retrieved))
    lists = {"retrieval": gold, "rerank": gold, **({"exhaustive": exact} if len(exact.queries) else {})}
    ranked = [row for of in lists for row in measured(evaluations, evidence.candidates, of, lists[of], rerank=of == "rerank")]
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

    def beside(others: Evaluations | None, figures: Callable[[Evaluations, Sums], list[dict]], scored: Gold = gold) -> list[dict]:
        return figures(others, resampled(others, token_sums(others, scored.queries), samples, seed)) if others else []

    systems = [_system(evaluations, sums, run) for run in evaluations.systems]
    return {
        "systems": systems,
        "seeds": seed_figures(systems),
        "orders": orders(systems),
        "settings": beside(evidence.in_settings, settings_figures),
        "oracles": beside(evidence.with_oracle, oracle_figures),
        "oracles_all": beside(evidence.with_oracle, oracle_all_figures, exact),
        "positions": position_figures(evaluations, sums),
        **{of: retrieval_figures(sums, ranked, of) for of in ("retrieval", "rerank", "exhaustive")},
        "retrieved": precision_figures(evaluations, sums, precision),
        "frozen_reader": frozen_figures(evaluations, sums, frozen, evidence.chunk_tokens),
        "overlap": overlap_figures(evaluations, sums),
        "subgroups": [{**row, "scored": "labels" if worth is gold else "retrieved"} for row in subgroup_figures(evaluations, sums, worth)],
        "gain_examples": gain_examples(evaluations, evidence.labels, evidence.chunks.select(*QUERY, "text"), evidence.chunk_tokens),
    }


def _system(evaluations: Evaluations, sums: Sums, run: str) -> dict[str, Any]:
    """One run: its perplexity, and what it gains over Transformer-XL and over random retrieval."""
    system = evaluations.systems[run]
    control = control_of(system)
    against = {name: evaluations.counterpart(run, name) for name in (BASELINE, control)}
    gains = {
        name: {"against": other, **difference(sums, (run, OWN), (other, OWN))} if other and other != run else None
        for name, other in against.items()
    }
    found = summarise(evaluations, sums, (run, OWN))
    paired = {"difference": gains[BASELINE], "over_random": gains[control]}
    return {"run": run, "system": system, "seed": evaluations.seeds[run], **found, "published": published_perplexity(system), **paired}


def _gold(evidence: Evidence, scored: pl.DataFrame) -> Gold:
    """Gold of the scored queries that evaluation reached."""
    reached = evidence.evaluations.chunks.select("doc_id", pl.col("chunk").alias("query_chunk"))
    return gold_of(scored.join(reached, on=["doc_id", "query_chunk"], how="semi"), evidence.chunk_tokens, evidence.stride_chunks)
