"""What other neighbours at test do to a system as it was trained: none, fewer, more, nearer ones, and those
an oracle would choose.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from data_contracts.evaluations import BASELINE, ORACLE, ORACLE_ALL, OWN, SETTINGS
from reports.metrics.evaluation_rows import Evaluations, Key
from reports.metrics.perplexity import ALL, SCORED, difference, nats, summarise
from reports.metrics.resampling import DIGITS, Estimate, Named, Sums

OTHERS = tuple(setting for setting in SETTINGS if setting not in (OWN, ORACLE, ORACLE_ALL))
MOST_LEFT_OUT = 0.025


@dataclass(frozen=True)
class SettingFigures:
    """A run in a setting: its perplexity, and the gain over `own` in nats a token, None in that itself."""

    run: str
    system: str
    setting: str
    perplexity: float | None
    low: float | None
    high: float | None
    perplexity_with_neighbours: float | None
    documents: int
    bits_per_byte: Estimate
    gain: Estimate | None


@dataclass(frozen=True)
class GapClosed(Estimate):
    """The share of the way from Transformer-XL to the oracle that a system goes by itself; `left_out` is the
    share of the resamples in which there is no such way."""

    left_out: float | None


@dataclass(frozen=True)
class OracleFigures:
    """A run with the scored candidates of highest s_t, and how much of the gap to that it closes by itself:
    over all tokens, and over those of chunks whose candidates were scored."""

    run: str
    system: str
    perplexity: float | None
    low: float | None
    high: float | None
    perplexity_with_neighbours: float | None
    documents: int
    gap_closed: GapClosed | None
    gap_closed_scored: GapClosed | None

    @property
    def setting(self) -> str:
        """That of the oracle."""
        return ORACLE


@dataclass(frozen=True)
class OracleAllFigures:
    """Perplexity of a run with its own neighbours, those of the oracle among the candidates and of the oracle
    among all eligible chunks, over the `tokens` of the exhaustive sample; `gain` is that of the last over the
    one before it, nats a token.
    """

    run: str
    system: str
    tokens: int
    own: Estimate
    oracle: Estimate
    oracle_all: Estimate
    gain: Estimate


def settings_figures(evaluations: Evaluations, sums: Sums) -> list[SettingFigures]:
    """A row a setting of every run that was evaluated in more than its own.

    They are over the documents that were read in every setting, which may be fewer than those of the
    headline; so is `own` here.
    """
    rows = []
    for run, system in evaluations.systems.items():
        known = [setting for setting in SETTINGS if setting in evaluations.settings(run)]
        for setting in known if len(known) > 1 else []:
            found = summarise(evaluations, sums, (run, setting))
            bounds = (found.perplexity, found.low, found.high, found.perplexity_with_neighbours)
            gain = None if setting == OWN else difference(sums, (run, setting), (run, OWN))
            rows.append(
                SettingFigures(run, system, setting, *bounds, found.documents, found.bits_per_byte, gain)
            )
    return rows


def oracle_figures(evaluations: Evaluations, sums: Sums) -> list[OracleFigures]:
    """Each run with the scored candidates of highest s_t, which sees the target: no system, and no bound
    either, since it is the reference LM's choice and not that of the system that reads it.

    `gap_closed` is (XL - system) / (XL - oracle) in nats, the share of the way from Transformer-XL that the
    system goes by itself, and `gap_closed_scored` the same over chunks whose candidates were scored, the only
    ones for which the oracle chooses. None where the oracle is not better than Transformer-XL, since then
    there is no way to go. `left_out` is the share of the resamples in which that is so; there is no interval
    where it is more than `MOST_LEFT_OUT`, since an end of it would be among them.
    """
    rows = []
    for run, system in evaluations.systems.items():
        if (run, ORACLE) not in evaluations.frames:
            continue
        baseline, found = evaluations.counterpart(run, BASELINE), summarise(evaluations, sums, (run, ORACLE))
        bounds = (found.perplexity, found.low, found.high, found.perplexity_with_neighbours)
        gaps = [_gap_closed(sums, run, baseline, place) if baseline else None for place in (ALL, SCORED)]
        rows.append(OracleFigures(run, system, *bounds, found.documents, *gaps))
    return rows


def oracle_all_figures(evaluations: Evaluations, sums: Sums) -> list[OracleAllFigures]:
    """Perplexity over the queries of the exhaustive sample alone, whose `sums` have them for the scored ones:
    with the neighbours of the run itself, of the oracle among the scored candidates, and of the oracle among
    all eligible chunks; `gain` is what the last brings over the oracle of the candidates, in nats a token.
    Chunks outside the sample read their own neighbours in `oracle_all`.
    """
    runs = {
        run: system for run, system in evaluations.systems.items() if (run, ORACLE_ALL) in evaluations.frames
    }
    return [
        OracleAllFigures(
            run=run,
            system=system,
            tokens=int(sums.total("tokens")[SCORED]),
            own=sums.combined(partial(_perplexity, key=(run, OWN))),
            oracle=sums.combined(partial(_perplexity, key=(run, ORACLE))),
            oracle_all=sums.combined(partial(_perplexity, key=(run, ORACLE_ALL))),
            gain=sums.combined(partial(_gain, run=run)),
        )
        for run, system in runs.items()
    ]


def _perplexity(at: Named, key: Key) -> np.ndarray:
    return np.exp(nats(at, key, SCORED))


def _gain(at: Named, run: str) -> np.ndarray:
    return nats(at, (run, ORACLE), SCORED) - nats(at, (run, ORACLE_ALL), SCORED)


def _gap_closed(sums: Sums, run: str, baseline: str, place: int) -> GapClosed:
    def share(at: Named) -> np.ndarray:
        start, own, oracle = (nats(at, key, place) for key in ((baseline, OWN), (run, OWN), (run, ORACLE)))
        return np.where(start > oracle, (start - own) / (start - oracle), np.nan)

    found = sums.combined(share)
    left_out = sums.share(lambda at: ~(nats(at, (baseline, OWN), place) > nats(at, (run, ORACLE), place)))
    low, high = (None, None) if left_out > MOST_LEFT_OUT else (found.low, found.high)
    return GapClosed(found.value, low, high, round(left_out, DIGITS))
