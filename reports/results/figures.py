"""The figures of a corpus that are kept in git: every system over its seeds, on all tokens and on those with
an eligible neighbour.

No times are among them, so that the same artifacts give the same bytes.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from itertools import combinations

import numpy as np

from data_contracts.evaluations import BASELINE, OWN
from reports.metrics.evaluation_rows import CONTROL, Evaluations, token_digest
from reports.metrics.perplexity import ALL, WITH_NEIGHBOURS, nats, resampled, token_sums
from reports.metrics.resampling import DIGITS, Named, Sums
from reports.metrics.seeds import ordered, pooled_deviation
from reports.results.result import Figures, Order, OverSeeds, SystemFigures, SystemRow

PLACES = {"all": ALL, "with_neighbours": WITH_NEIGHBOURS}
"""Which tokens a figure is of: all, or those of chunks with at least one eligible neighbour, the only ones
where a gain can occur.
"""
NONE = "none"
"""The setting in which a model reads no neighbours."""

Figure = Callable[[str, Named], np.ndarray]
"""A figure of one run, given its name."""


def result_figures(evaluations: Evaluations, samples: int, seed: int = 0) -> Figures:
    """Documents, tokens, a row for each system in the order of the runs, and which pairs their seeds put in
    an order, for either place.

    A row has perplexity, what it gains over Transformer-XL and over the random control, and what it loses
    without neighbours, the last three in nats a token. Each is a mean over the seeds with its deviation over
    them, and a 95 % interval of the documents, resampled together for all runs. A gain is paired: over the
    same tokens, and seed by seed.
    """
    sums = resampled(
        evaluations,
        token_sums(evaluations, evaluations.chunks.select("doc_id", "chunk").clear()),
        samples,
        seed,
    )
    runs: dict[str, list[str]] = {}
    for run, system in evaluations.systems.items():
        runs.setdefault(system, []).append(run)
    tokens = dict(zip(PLACES, sums.total("tokens").astype(int).tolist(), strict=False))
    return Figures(
        documents=sums.documents,
        tokens=tokens,
        tokens_sha256=token_digest(evaluations.chunks),
        rows=[_row(evaluations, sums, system, of) for system, of in runs.items()],
        orders={name: _orders(sums, runs, place) for name, place in PLACES.items()},
    )


def _row(evaluations: Evaluations, sums: Sums, system: str, runs: list[str]) -> SystemRow:
    figures = {name: _figures(evaluations, sums, runs, place) for name, place in PLACES.items()}
    return SystemRow(system=system, seeds=[evaluations.seeds[run] for run in runs], **figures)


def _figures(evaluations: Evaluations, sums: Sums, runs: list[str], place: int) -> SystemFigures:
    def loss(run: str, at: Named, setting: str = OWN) -> np.ndarray:
        return nats(at, (run, setting), place)

    def over(system: str) -> Figure | None:
        others = {run: evaluations.counterpart(run, system) for run in runs}
        return (
            None
            if None in others.values() or others[runs[0]] == runs[0]
            else lambda run, at: loss(str(others[run]), at) - loss(run, at)
        )

    read = all((run, NONE) in evaluations.frames for run in runs)

    def gain(figure: Figure | None) -> OverSeeds | None:
        return _over_seeds(sums, runs, figure) if figure else None

    return SystemFigures(
        perplexity=_over_seeds(sums, runs, lambda run, at: np.exp(loss(run, at))),
        over_transformer_xl=gain(over(BASELINE)),
        over_random=gain(over(CONTROL)),
        without_neighbours=gain((lambda run, at: loss(run, at, NONE) - loss(run, at)) if read else None),
    )


def _over_seeds(sums: Sums, runs: list[str], figure: Figure) -> OverSeeds:
    """The figure of each seed, their mean with its interval of the documents, and their deviation; None of a
    single seed.
    """
    by_seed = [sums.combined(partial(figure, run)).value for run in runs]
    mean = sums.combined(lambda at: np.mean([figure(run, at) for run in runs], axis=0))
    figures = [value for value in by_seed if value is not None]
    known = len(figures) == len(by_seed) > 1
    deviation = round(statistics.stdev(figures), DIGITS) if known else None
    return OverSeeds(**asdict(mean), deviation=deviation, by_seed=by_seed)


def _orders(sums: Sums, runs: dict[str, list[str]], place: int) -> list[Order]:
    """Every pair of systems, the lower mean perplexity first: the gap, in pooled deviations over seeds where
    there are several, and whether that is enough for an order (reports/metrics/seeds.py)."""

    def perplexity_of(run: str, at: Named) -> np.ndarray:
        return np.exp(nats(at, (run, OWN), place))

    perplexity = {
        system: [sums.combined(partial(perplexity_of, run)).value or np.inf for run in of]
        for system, of in runs.items()
    }
    orders = []
    for pair in combinations(sorted(perplexity.items(), key=lambda item: statistics.fmean(item[1])), 2):
        (better, low), (worse, high) = pair
        gap = statistics.fmean(high) - statistics.fmean(low)
        pooled = pooled_deviation(low, high) if min(len(low), len(high)) > 1 else None
        apart = round(gap / pooled, 2) if pooled else None
        orders.append(Order(better, worse, round(gap, DIGITS), apart, ordered(low, high)))
    return orders
