"""How much there is to gain at all: Transformer-XL mixed with what is counted over its text, on the tokens of
every system's evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl

from data_contracts.ceilings import MIXTURES, OF_TRAINING
from data_contracts.evaluations import BASELINE, OWN
from reports.metrics.evaluation_rows import Evaluations, Key, with_own
from reports.metrics.perplexity import ALL, WITH_NEIGHBOURS, nats, resampled, token_sums
from reports.metrics.resampling import FEWEST_DOCUMENTS, Estimate, Named, Sums

SEARCHED = tuple(name for name in MIXTURES if name.startswith("knn"))
GROUPS = (tuple(name for name in MIXTURES if name not in SEARCHED), SEARCHED)
"""Mixtures that are measured on the same documents; those with states on the first ones only."""


@dataclass(frozen=True)
class Ceiling:
    """Transformer-XL mixed with one of MIXTURES: perplexity over all tokens and over those of chunks with an
    eligible neighbour, and the paired gain over Transformer-XL alone in nats a token, of both; the mean over
    its `runs`. `over_training` is the gain over the control, of what is mixed with it too. None where there
    is nothing to compare with."""

    setting: str
    runs: int
    documents: int
    perplexity: float | None
    perplexity_with_neighbours: float | None
    gain: Estimate | None
    gain_with_neighbours: Estimate | None
    over_training: Estimate | None


def ceiling_figures(
    frames: dict[Key, pl.DataFrame],
    systems: dict[str, str],
    seeds: dict[str, int],
    samples: int,
    seed: int = 0,
) -> list[Ceiling]:
    """A row a mixture, each group after Transformer-XL alone on the same documents. No row where nothing was
    mixed.
    """
    of_baseline = {run: system for run, system in systems.items() if system == BASELINE}
    known = {key: rows for key, rows in frames.items() if key[0] in of_baseline}
    found = [with_own(known, of_baseline, seeds, names) for names in GROUPS]
    return [row for evaluations in found if evaluations for row in _group(evaluations, samples, seed)]


def _group(evaluations: Evaluations, samples: int, seed: int) -> list[Ceiling]:
    nothing = evaluations.chunks.select("doc_id", "chunk").clear()
    sums = resampled(evaluations, token_sums(evaluations, nothing), samples, seed)
    found = {
        setting: [key for key in evaluations.frames if key[1] == setting] for setting in (OWN, *MIXTURES)
    }
    return [_ceiling(sums, setting, keys) for setting, keys in found.items() if keys]


def _ceiling(sums: Sums, setting: str, keys: Sequence[Key]) -> Ceiling:
    def perplexity(place: int) -> float | None:
        return sums.combined(partial(_perplexity, keys=keys, place=place)).value

    def gain(over: str, place: int) -> Estimate:
        found = sums.combined(
            partial(_gain, keys=keys, against=[(run, over) for run, _ in keys], place=place)
        )
        return found.bare() if sums.documents < FEWEST_DOCUMENTS else found

    return Ceiling(
        setting=setting,
        runs=len(keys),
        documents=sums.documents,
        perplexity=perplexity(ALL),
        perplexity_with_neighbours=perplexity(WITH_NEIGHBOURS),
        gain=gain(OWN, ALL) if setting != OWN else None,
        gain_with_neighbours=gain(OWN, WITH_NEIGHBOURS) if setting != OWN else None,
        over_training=gain(OF_TRAINING, ALL) if setting.startswith(f"{OF_TRAINING}_") else None,
    )


def _mean_nats(at: Named, keys: Sequence[Key], place: int) -> np.ndarray:
    return np.mean([nats(at, key, place) for key in keys], axis=0)


def _perplexity(at: Named, keys: Sequence[Key], place: int) -> np.ndarray:
    return np.mean([np.exp(nats(at, key, place)) for key in keys], axis=0)


def _gain(at: Named, keys: Sequence[Key], against: Sequence[Key], place: int) -> np.ndarray:
    return _mean_nats(at, against, place) - _mean_nats(at, keys, place)
