import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.layers import FeedForward, Linear, RMSNorm, dropout


def test_rms_norm() -> None:
    norm = RMSNorm(4)
    norm.scale[...] = jnp.arange(1.0, 5.0)
    x = np.array([[1.0, -2.0, 3.0, 0.5]])
    np.testing.assert_allclose(
        norm(jnp.asarray(x)), x / np.sqrt((x**2).mean() + 1e-6) * np.arange(1, 5), rtol=1e-6
    )


def test_linear_works_on_any_leading_dimensions() -> None:
    layer = Linear(3, 2, bias=True)
    layer.kernel[...] = jnp.arange(6.0).reshape(3, 2)
    layer.bias[...] = jnp.array([1.0, -1.0])
    x = jax.random.normal(jax.random.key(0), (2, 5, 3))
    np.testing.assert_allclose(
        layer(x), np.asarray(x) @ np.arange(6).reshape(3, 2) + [1, -1], rtol=1e-5, atol=1e-6
    )


def test_feed_forward_is_two_matrices_around_a_tanh_gelu() -> None:
    layer = FeedForward(2)
    layer.expand.kernel[...] = jax.random.normal(jax.random.key(0), (2, 8))
    layer.contract.kernel[...] = jax.random.normal(jax.random.key(1), (8, 2))
    x = np.array([[0.5, -1.5]])
    inner = x @ np.asarray(layer.expand.kernel[...])
    gelu = 0.5 * inner * (1 + np.tanh(np.sqrt(2 / np.pi) * (inner + 0.044715 * inner**3)))
    np.testing.assert_allclose(
        layer(jnp.asarray(x)), gelu @ np.asarray(layer.contract.kernel[...]), rtol=1e-5
    )


def test_dropout_drops_the_rate_and_scales_up_the_rest() -> None:
    dropped = np.asarray(dropout(jnp.ones(10_000), 0.05, jax.random.key(0)))
    assert (dropped == 0).mean() == pytest.approx(0.05, abs=0.01)
    np.testing.assert_allclose(dropped[dropped != 0], 1 / 0.95, rtol=1e-6)
