"""Training of the reference LM: it learns, it repeats itself exactly, and it says when it cannot go on."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest

from model.gpt_neox_config import GPTNeoXConfig
from stages.reference_lm.training import After, _batches, fresh, train
from stages.training.checkpoints import Checkpoints, Restored

CONFIG = GPTNeoXConfig(
    vocab_size=16, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
)


RATE = 1e-2


def trained_on(
    windows: np.ndarray,
    steps: int,
    seed: int,
    batch: int = 8,
    rate: float = RATE,
    begin: Restored | None = None,
    after: After = lambda now: None,
) -> Restored:
    """To the end, from nothing or from `begin`."""
    return train(CONFIG, begin or fresh(CONFIG, steps, rate, seed), windows, steps, batch, rate, seed, after)


@pytest.fixture
def windows() -> np.ndarray:
    """Counting upwards modulo 16: each token follows from the one before."""
    return ((np.arange(40)[:, None] + np.arange(16)) % 16).astype(np.int32)


def test_training_learns_a_deterministic_text_and_reports_its_loss(windows: np.ndarray) -> None:
    seen: list[int] = []
    trained = trained_on(windows, steps=110, seed=0, after=lambda now: seen.append(now.step))
    assert seen == list(range(1, 111))
    assert [row["step"] for row in trained.history] == [20, 40, 60, 80, 100, 110]
    assert trained.history[-1]["loss"] < 0.1 < trained.history[0]["loss"]


def test_training_twice_gives_the_same_bits(windows: np.ndarray) -> None:
    first, again = (trained_on(windows, steps=5, seed=1) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first.state, again.state)


def test_stopped_after_any_step_it_ends_with_the_same_bits(windows: np.ndarray, tmp_path: Path) -> None:
    """Through checkpoints on disk, at the first, a reported and the last but one of 25 steps."""
    straight = trained_on(windows, steps=25, seed=1)
    for stop in (1, 20, 24):
        with Checkpoints(tmp_path / str(stop), lambda said: None) as checkpoints:
            trained_on(
                windows,
                steps=25,
                seed=1,
                after=lambda now, stop=stop, to=checkpoints: now.step == stop and to.save(*now),
            )
            checkpoints.wait()
            begin = checkpoints.restore(fresh(CONFIG, 25, RATE, 1).state)
        assert begin is not None
        assert begin.step == stop
        again = trained_on(windows, steps=25, seed=1, begin=begin)
        jax.tree.map(np.testing.assert_array_equal, straight.state, again.state)
        assert again.history == straight.history


def test_every_window_is_used_once_an_epoch() -> None:
    rows = np.concatenate(list(_batches(windows=10, batch=4, steps=5, seed=0)))
    assert np.array_equal(np.sort(rows[:10]), np.arange(10))
    assert np.array_equal(np.sort(rows[10:]), np.arange(10))
    assert not np.array_equal(rows[:10], rows[10:])


def test_a_batch_larger_than_the_data_is_refused(windows: np.ndarray) -> None:
    with pytest.raises(ValueError, match="batch of 41 windows cannot be drawn from 40"):
        trained_on(windows, steps=1, seed=0, batch=41)


def test_a_diverged_loss_stops_the_training(windows: np.ndarray) -> None:
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        trained_on(windows, steps=40, seed=0, rate=1e30)
