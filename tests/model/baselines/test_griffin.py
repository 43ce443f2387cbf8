import jax
import numpy as np
import pytest

from model.baselines.griffin import STEEPEST, RecurrentBlock, _gentle_sqrt


@pytest.fixture(scope="module")
def block(make_model) -> RecurrentBlock:
    return make_model("griffin", scale=2.0).upper.layers[0].recurrence


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 24, 16)).astype(np.float32)


def test_one_shot_is_segment_by_segment_is_token_by_token(block, x):
    whole, end = jax.jit(lambda x: block(x, block.start(2)))(x)
    for size in (8, 1):
        run, state, parts = jax.jit(lambda x, past: block(x, past)), block.start(2), []
        for begin in range(0, 24, size):
            part, state = run(x[:, begin : begin + size], state)
            parts.append(part)
        np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=0, atol=1e-6)
        np.testing.assert_allclose(state.hidden_BE, end.hidden_BE, rtol=0, atol=1e-6)
    assert np.std(whole) > 1e-3


def test_the_square_root_has_a_bounded_slope():
    slope = jax.vmap(jax.grad(_gentle_sqrt))(np.array([0.0, 1e-12, 1e-4, 0.25], np.float32))
    np.testing.assert_allclose(slope, [STEEPEST, STEEPEST, 50.0, 1.0], rtol=1e-5)


def test_first_decays_lie_in_the_ring(make_model):
    """softplus(decay) = -ln(radius), radius in [0.9, 0.999]."""
    decay = make_model("griffin", scale=1.0).upper.layers[0].recurrence.decay[...]
    radius = np.exp(-jax.nn.softplus(decay))
    assert (radius > 0.9 - 1e-6).all()
    assert (radius < 0.999 + 1e-6).all()
    assert np.std(radius) > 0.01
