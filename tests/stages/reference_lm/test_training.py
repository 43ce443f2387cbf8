"""Training of the reference LM: it learns, it repeats itself exactly, and it says when it cannot go on."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from model.gpt_neox_config import GPTNeoXConfig
from stages.reference_lm.training import _batches, train

CONFIG = GPTNeoXConfig(vocab_size=16, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)


@pytest.fixture
def windows() -> np.ndarray:
    """Counting upwards modulo 16: each token follows from the one before."""
    return ((np.arange(40)[:, None] + np.arange(16)) % 16).astype(np.int32)


def test_training_learns_a_deterministic_text_and_reports_its_loss(windows: np.ndarray) -> None:
    calls: list[tuple[int, int, float]] = []
    train(CONFIG, windows, steps=110, batch=8, learning_rate=1e-2, seed=0, progress=lambda *call: calls.append(call))
    assert [step for step, _, _ in calls] == [20, 40, 60, 80, 100, 110]
    assert calls[-1][2] < 0.1 < calls[0][2]


def test_training_twice_gives_the_same_bits(windows: np.ndarray) -> None:
    first, again = (train(CONFIG, windows, steps=5, batch=8, learning_rate=1e-2, seed=1) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, again)


def test_every_window_is_used_once_an_epoch() -> None:
    rows = np.concatenate(list(_batches(windows=10, batch=4, steps=5, seed=0)))
    assert np.array_equal(np.sort(rows[:10]), np.arange(10))
    assert np.array_equal(np.sort(rows[10:]), np.arange(10))
    assert not np.array_equal(rows[:10], rows[10:])


def test_a_batch_larger_than_the_data_is_refused(windows: np.ndarray) -> None:
    with pytest.raises(ValueError, match="batch of 41 windows cannot be drawn from 40"):
        train(CONFIG, windows, steps=1, batch=41, learning_rate=1e-2, seed=0)


def test_a_diverged_loss_stops_the_training(windows: np.ndarray) -> None:
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        train(CONFIG, windows, steps=40, batch=8, learning_rate=1e30, seed=0)
