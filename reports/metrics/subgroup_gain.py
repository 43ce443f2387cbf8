"""What a gold neighbour is worth: improvement over Transformer-XL where one was retrieved and where none was.
The paper's Figure 6.

Only queries whose candidates were scored count. A neighbour that was not scored counts as not gold, so
"without" may hold some that help. Improvement is 1 - perplexity / perplexity of Transformer-XL over the
tokens of a group; the paper's mean over chunks would be ruled by the few chunks that are predicted almost
perfectly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl

from data_contracts.evaluations import BASELINE, OWN
from reports.metrics.evaluation_rows import Evaluations
from reports.metrics.resampling import Estimate, Named, Sums
from reports.metrics.retrieval import QUERY, Gold

GROUPS = {"with_gold": (0,), "without_gold": (1,), "all": (0, 1)}


@dataclass(frozen=True)
class SubgroupFigures:
    """The `improvement` of a run in percent over the `chunks` of a group, of queries in so many `documents`;
    `scored` says whether gold is by the `labels` or by the sample of what was `retrieved`."""

    run: str
    system: str
    group: str
    chunks: int
    documents: int
    improvement: Estimate
    scored: str


def subgroup_of(run: str) -> str:
    """The name of a run's sums."""
    return f"gain of {run} by gold"


def _compared(evaluations: Evaluations) -> dict[str, str]:
    """The runs that read neighbours, and which one of Transformer-XL each is compared with."""
    found = {run: evaluations.counterpart(run, BASELINE) for run in evaluations.readers()}
    return {run: baseline for run, baseline in found.items() if baseline}


def gold_retrieved(evaluations: Evaluations, run: str, gold: Gold) -> tuple[np.ndarray, np.ndarray]:
    """[R] whether candidates of a chunk were scored, and whether one that it retrieved has s_t > 0."""
    rows = evaluations.chunks.select(*QUERY).with_columns(evaluations.frames[run, OWN]["retrieved"])
    positives = (
        gold.scored.filter(pl.col("gain") > 0).group_by(QUERY).agg(pl.col("candidate").alias("positives"))
    )
    joined = rows.join(positives, on=QUERY, how="left", maintain_order="left")
    hit = joined["retrieved"].list.set_intersection(joined["positives"]).list.len() > 0
    return evaluations.among(gold.queries), hit.fill_null(False).to_numpy()


def subgroup_sums(evaluations: Evaluations, gold: Gold) -> dict[str, np.ndarray]:
    """[B, 6] by name for every run that reads neighbours: chunks, tokens and nats gained, with a gold
    neighbour, then without.
    """
    found = {}
    tokens_R = evaluations.chunks["tokens"].to_numpy()
    for run, baseline in _compared(evaluations).items():
        scored_R, hit_R = gold_retrieved(evaluations, run, gold)
        gain_R = evaluations.loss((baseline, OWN)) - evaluations.loss((run, OWN))
        columns = [
            values * mask
            for mask in (scored_R & hit_R, scored_R & ~hit_R)
            for values in (np.ones_like(gain_R), tokens_R, gain_R)
        ]
        found[subgroup_of(run)] = evaluations.by_block(*columns)
    return found


def subgroup_figures(evaluations: Evaluations, sums: Sums, gold: Gold, scored: str) -> list[SubgroupFigures]:
    """A row a run and group."""
    rows, documents = (
        [],
        len(np.unique(evaluations.document_B[evaluations.block_of_rows()[evaluations.among(gold.queries)]])),
    )
    for run in _compared(evaluations):
        chunks = sums.total(subgroup_of(run)).reshape(2, 3)[:, 0]
        for group, parts in GROUPS.items():
            found, counted = sums.combined(partial(_improvement, run, parts)), int(chunks[list(parts)].sum())
            rows.append(
                SubgroupFigures(run, evaluations.systems[run], group, counted, documents, found, scored)
            )
    return rows


def _improvement(run: str, parts: tuple[int, ...], at: Named) -> np.ndarray:
    sums = at(subgroup_of(run))
    tokens, gain = (sum(sums[..., 3 * part + column] for part in parts) for column in (1, 2))
    return 100 * (1 - np.exp(-gain / tokens))
