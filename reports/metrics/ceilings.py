"""How much there is to gain at all: Transformer-XL mixed with what is counted over its text, on the tokens of every system's evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from data_contracts.ceilings import MIXTURES, OF_TRAINING
from data_contracts.evaluations import BASELINE, OWN
from reports.metrics.evaluation_rows import Evaluations, Key, with_own
from reports.metrics.perplexity import ALL, WITH_NEIGHBOURS, nats, resampled, token_sums
from reports.metrics.resampling import FEWEST_DOCUMENTS, Named

SEARCHED = tuple(name for name in MIXTURES if name.startswith("knn"))
GROUPS = (tuple(name for name in MIXTURES if name not in SEARCHED), SEARCHED)
"""Mixtures that are measured on the same documents; those with states on the first ones only."""


def ceiling_figures(
    frames: dict[Key, pl.DataFrame], systems: dict[str, str], seeds: dict[str, int], samples: int, seed: int = 0
) -> list[dict[str, Any]]:
    """A row a mixture of MIXTURES, each group after Transformer-XL alone on the same documents: perplexity over all tokens and over those
    of chunks with an eligible neighbour, and the paired gain in nats a token, of both; the mean over the runs of Transformer-XL.
    `over_training` is the gain over the control, of what is mixed with it too. No row where nothing was mixed."""
    of_baseline = {run: system for run, system in systems.items() if system == BASELINE}
    known = {key: rows for key, rows in frames.items() if key[0] in of_baseline}
    found = [with_own(known, of_baseline, seeds, names) for names in GROUPS]
    return [row for evaluations in found if evaluations for row in _group(evaluations, samples, seed)]


def _group(evaluations: Evaluations, samples: int, seed: int) -> list[dict[str, Any]]:
    nothing = evaluations.chunks.select("doc_id", "chunk").clear()
    sums = resampled(evaluations, token_sums(evaluations, nothing), samples, seed)
    few = sums.documents < FEWEST_DOCUMENTS
    rows = []
    for setting in (OWN, *MIXTURES):
        keys = [key for key in evaluations.frames if key[1] == setting]
        if not keys:
            continue
        own, control = ([(run, name) for run, _ in keys] for name in (OWN, OF_TRAINING))
        places = {"": ALL, "_with_neighbours": WITH_NEIGHBOURS}
        row: dict[str, Any] = {"setting": setting, "runs": len(keys), "documents": sums.documents}
        row |= {f"perplexity{name}": sums.combined(partial(_perplexity, keys=keys, place=place)).value for name, place in places.items()}
        gains = {f"gain{name}": (own, place) for name, place in places.items() if setting != OWN}
        gains |= {"over_training": (control, ALL)} if setting.startswith(f"{OF_TRAINING}_") else {}
        row |= dict.fromkeys(("gain", "gain_with_neighbours", "over_training"))
        for name, (against, place) in gains.items():
            found = asdict(sums.combined(partial(_gain, keys=keys, against=against, place=place)))
            row[name] = {**found, **({"low": None, "high": None} if few else {})}
        rows.append(row)
    return rows


def _mean_nats(at: Named, keys: Sequence[Key], place: int) -> np.ndarray:
    return np.mean([nats(at, key, place) for key in keys], axis=0)


def _perplexity(at: Named, keys: Sequence[Key], place: int) -> np.ndarray:
    return np.mean([np.exp(nats(at, key, place)) for key in keys], axis=0)


def _gain(at: Named, keys: Sequence[Key], against: Sequence[Key], place: int) -> np.ndarray:
    return _mean_nats(at, against, place) - _mean_nats(at, keys, place)
