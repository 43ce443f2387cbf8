"""Resamples of parts are distributed as resamples of the whole, and a draw is of documents first."""

import numpy as np
import pytest

from reports.metrics.resampling import Estimate, Resampler, estimate

DOCUMENTS = np.repeat(np.arange(12), [1, 3, 2, 1, 1, 4, 1, 2, 1, 1, 5, 1])
SUMS = np.random.default_rng(0).normal(3, 1, (len(DOCUMENTS), 2))


def resampled(cuts: list[int], samples: int = 4000) -> Resampler:
    resampler = Resampler(12, 2, samples, np.random.default_rng(1))
    for part in np.split(np.arange(len(DOCUMENTS)), np.searchsorted(DOCUMENTS, cuts)):
        resampler.add(DOCUMENTS[part], SUMS[part])
    return resampler


def test_parts_add_up_to_the_whole():
    whole, parts = resampled([]), resampled([1, 2, 6, 6, 11])
    assert parts.total == pytest.approx(SUMS.sum(axis=0))
    assert whole.total == pytest.approx(parts.total)
    assert parts.samples.mean(axis=0) == pytest.approx(whole.samples.mean(axis=0), rel=0.02)
    assert parts.samples.std(axis=0) == pytest.approx(whole.samples.std(axis=0), rel=0.06)
    assert np.quantile(parts.samples, (0.025, 0.975), axis=0) == pytest.approx(
        np.quantile(whole.samples, (0.025, 0.975), axis=0), rel=0.04
    )


def test_every_resample_draws_as_many_documents_as_there_are():
    resampler = Resampler(12, 1, 200, np.random.default_rng(2))
    for part in (slice(0, 5), slice(5, 12)):
        resampler.add(np.arange(12)[part], np.ones((12, 1))[part])
    assert set(resampler.samples[:, 0]) == {12.0}


def test_a_part_without_a_block_changes_nothing():
    resampler = Resampler(0, 2, 5, np.random.default_rng(0))
    resampler.add(np.zeros(0, int), np.zeros((0, 2)))
    assert not resampler.samples.any()


def test_the_same_seed_gives_the_same_resamples():
    assert (resampled([4], 50).samples == resampled([4], 50).samples).all()


def test_what_was_not_measured_is_none():
    assert (
        estimate(np.nan, np.ones(5))
        == estimate(1.0, np.full(5, np.nan))
        == estimate(1.0, np.zeros(0))
        == Estimate(None, None, None)
    )
    assert estimate(1.0, np.array([np.nan, 2.0, np.inf])) == Estimate(1.0, 2.0, 2.0)


def test_an_interval_holds_95_percent():
    assert estimate(500.0, np.random.default_rng(0).permutation(1001).astype(float)) == Estimate(
        500.0, 25.0, 975.0
    )
