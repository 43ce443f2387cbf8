"""The two-level bootstrap over sums that come part by part: documents are drawn, then blocks within them, in
memory bounded by a part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

BLOCK_CHUNKS = 64
FEWEST_DOCUMENTS = 8  # below, an interval over documents means nothing
DIGITS = 6

Named = Callable[[str], np.ndarray]
"""From the name of a sum to it, [..., width]."""


def interval(values: np.ndarray) -> tuple[float, float]:
    """The central 95 % of bootstrap values."""
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


class Resampler:
    """Totals of additive sums over blocks of documents, and the same totals of `samples` resamples of all
    `documents`.

    A resample draws as many documents as there are, with replacement, and from each drawn one as many of its
    blocks as it has. Parts with whole documents may be added one after another: how many draws fall on a part
    is drawn first, binomially, so that the resamples are distributed as if all documents were drawn from at
    once.
    """

    def __init__(self, documents: int, columns: int, samples: int, rng: np.random.Generator):
        self.total = np.zeros(columns)
        self.samples = np.zeros((samples, columns))
        self._rng = rng
        self._left = documents
        self._draws = np.full(samples, documents)

    def add(self, document_B: np.ndarray, sums_BC: np.ndarray) -> None:
        """Add a part: the sums of its blocks, and the document of each; blocks of a document stand
        together.
        """
        _, begin_D, blocks_D = np.unique(document_B, return_index=True, return_counts=True)
        if not len(begin_D):
            return
        self.total += sums_BC.sum(axis=0)
        whole = len(begin_D) >= self._left
        drawn_S = self._draws.copy() if whole else self._rng.binomial(self._draws, len(begin_D) / self._left)
        for sample, draws in enumerate(drawn_S):
            drawn = self._rng.integers(len(begin_D), size=draws)
            size = blocks_D[drawn]
            within = (self._rng.random(size.sum()) * np.repeat(size, size)).astype(np.int64)
            times_B = np.bincount(np.repeat(begin_D[drawn], size) + within, minlength=len(sums_BC))
            self.samples[sample] += times_B @ sums_BC
        self._draws -= drawn_S
        self._left -= len(begin_D)


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; all None where there was nothing to measure. Rounded, so that equal
    labels give equal bytes.
    """

    value: float | None
    low: float | None
    high: float | None

    def bare(self) -> Estimate:
        """The figure without its interval."""
        return replace(self, low=None, high=None)


def estimate(value: float, values_S: np.ndarray) -> Estimate:
    """`value` with the interval of what the resamples give; resamples without what it needs are left out."""
    known = values_S[np.isfinite(values_S)]
    if not np.isfinite(value) or not len(known):
        return Estimate(None, None, None)
    low, high = interval(known)
    return Estimate(round(float(value), DIGITS) + 0.0, round(low, DIGITS) + 0.0, round(high, DIGITS) + 0.0)


class Sums:
    """Totals and resamples of named sums over the same blocks, and the figures made of them: what is compared
    is resampled together.
    """

    def __init__(self, documents: int, widths: dict[str, int], samples: int, rng: np.random.Generator):
        ends = np.cumsum(list(widths.values()))
        self._places = {
            name: slice(end - width, end) for (name, width), end in zip(widths.items(), ends, strict=True)
        }
        self._resampler = Resampler(documents, int(ends[-1]), samples, rng)
        self.documents = documents

    def add(self, document_B: np.ndarray, sums: dict[str, np.ndarray]) -> None:
        """Add a part; `sums` in the order of the widths."""
        self._resampler.add(document_B, np.concatenate(list(sums.values()), axis=1))

    def total(self, name: str) -> np.ndarray:
        """The sum over everything, [width]."""
        return self._resampler.total[self._places[name]]

    def ratio(self, top: str, bottom: str, place: int = 0, minus: int | None = None) -> Estimate:
        """`top` at `place`, less that at `minus`, over `bottom`, which has one place for all or as many as
        `top`.
        """
        return self.combined(
            lambda at: (
                (at(top)[..., place] - (0 if minus is None else at(top)[..., minus]))
                / _like(at(bottom), place)
            )
        )

    def combined(self, figure: Callable[[Named], np.ndarray]) -> Estimate:
        """The figure that `figure` makes of a function from names to sums [..., width]."""
        totals, samples = self._resampler.total, self._resampler.samples
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            value, values = (figure(partial(self._named, source)) for source in (totals, samples))
        return estimate(float(value), values)

    def share(self, condition: Callable[[Named], np.ndarray]) -> float:
        """The share of the resamples in which a condition holds."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(condition(partial(self._named, self._resampler.samples)).mean())

    def _named(self, source: np.ndarray, name: str) -> np.ndarray:
        return source[..., self._places[name]]


def _like(sums: np.ndarray, place: int) -> np.ndarray:
    return sums[..., place if sums.shape[-1] > 1 else 0]
