"""Loss by distance from the document's start: where in a document a memory pays, which one figure over all
tokens hides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from data_contracts.evaluations import BASELINE, OWN
from reports.metrics.evaluation_rows import Evaluations
from reports.metrics.resampling import Estimate, Sums

EDGES = np.array([1, *(2**power for power in range(4, 31))])  # in tokens; doubling from 16 on
COUNT = "tokens by position"


@dataclass(frozen=True)
class PositionBin:
    """Tokens from `start` to `end` of a document, inclusive, and how many were counted."""

    start: int
    end: int
    tokens: int


@dataclass(frozen=True)
class PositionRun:
    """The `nats` a token of a run in each bin, and its `gain` over Transformer-XL there, None without one to
    compare with.
    """

    run: str
    system: str
    nats: Sequence[Estimate]
    gain: Sequence[Estimate] | None


@dataclass(frozen=True)
class Positions:
    """Loss by distance from the start of the document."""

    bins: Sequence[PositionBin]
    runs: Sequence[PositionRun]


def position_of(run: str) -> str:
    """The name of a run's sums by position."""
    return f"loss of {run} by position"


def bins_of_tokens(chunks: pl.DataFrame, chunk_tokens: int) -> np.ndarray:
    """[T] bin of every counted token, row after row. Token 0 of a document is not counted, so that chunk 0
    begins with token 1.
    """
    count_R = chunks["tokens"].to_numpy()
    first_R = np.maximum((chunks["chunk"].to_numpy().astype(np.int64) + 1) * chunk_tokens, 1)
    before_R = np.cumsum(count_R) - count_R
    position_T = np.arange(count_R.sum()) + np.repeat(first_R - before_R, count_R)
    return np.searchsorted(EDGES, position_T, side="right") - 1


def position_sums(evaluations: Evaluations, chunk_tokens: int) -> dict[str, np.ndarray]:
    """[B, bins] by name: counted tokens, and the nats of each run in its own setting."""
    bin_T = bins_of_tokens(evaluations.chunks, chunk_tokens)
    block_T = np.repeat(evaluations.block_of_rows(), evaluations.chunks["tokens"].to_numpy())
    blocks, bins = len(evaluations.block_begin_B), int(bin_T.max()) + 1
    place_T = block_T * bins + bin_T

    def added(weight_T: np.ndarray | None) -> np.ndarray:
        return np.bincount(place_T, weight_T, minlength=blocks * bins).reshape(blocks, bins)

    losses = {
        run: evaluations.frames[run, OWN]["token_losses"].explode().to_numpy() for run in evaluations.systems
    }
    return {COUNT: added(None), **{position_of(run): added(loss_T) for run, loss_T in losses.items()}}


def position_figures(evaluations: Evaluations, sums: Sums) -> Positions:
    """The bins that hold a token, and every run in them."""
    tokens = sums.total(COUNT)
    used = np.flatnonzero(tokens)
    runs = []
    for run, system in evaluations.systems.items():
        baseline = evaluations.counterpart(run, BASELINE)
        mine = [sums.ratio(position_of(run), COUNT, int(place)) for place in used]
        gains = (
            [_gain(sums, run, baseline, int(place)) for place in used]
            if baseline and run != baseline
            else None
        )
        runs.append(PositionRun(run, system, mine, gains))
    return Positions(
        [PositionBin(int(EDGES[place]), int(EDGES[place + 1]) - 1, int(tokens[place])) for place in used],
        runs,
    )


def _gain(sums: Sums, run: str, baseline: str, place: int) -> Estimate:
    return sums.combined(
        lambda at: (at(position_of(baseline)) - at(position_of(run)))[..., place] / at(COUNT)[..., place]
    )
