from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.lm_loss import mean_loss, token_losses

HIDDEN = jax.random.normal(jax.random.key(0), (2, 11, 6)) * 3
TABLE = jax.random.normal(jax.random.key(1), (17, 6))
TARGETS = jax.random.randint(jax.random.key(2), (2, 11), 0, 17)


def test_against_numpy() -> None:
    logits = np.asarray(HIDDEN, np.float64) @ np.asarray(TABLE, np.float64).T
    expected = (
        np.log(np.exp(logits).sum(-1))
        - np.take_along_axis(logits, np.asarray(TARGETS)[..., None], -1)[..., 0]
    )
    np.testing.assert_allclose(jax.jit(token_losses)(HIDDEN, TABLE, TARGETS), expected, rtol=1e-5, atol=1e-6)


@partial(jax.jit, static_argnums=2)
@partial(jax.value_and_grad, argnums=(0, 1))
def weighted(hidden: jax.Array, table: jax.Array, size: int | None) -> jax.Array:
    return jnp.sum(token_losses(hidden, table, TARGETS, size) * jnp.arange(11.0))


@pytest.mark.parametrize("block", [1, 5, 22, 100])
def test_blocks_do_not_matter(block: int) -> None:
    (whole, gradients), (cut, cut_gradients) = weighted(HIDDEN, TABLE, None), weighted(HIDDEN, TABLE, block)
    np.testing.assert_allclose(cut, whole, rtol=1e-6)
    for own, other in zip(cut_gradients, gradients, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-5)


def test_the_mean_is_over_the_mask_of_the_whole_batch() -> None:
    losses = jnp.arange(6.0).reshape(2, 3)
    mask = jnp.array([[True, False, False], [True, True, False]])
    assert float(mean_loss(losses, mask)) == pytest.approx((0 + 3 + 4) / 3)
    assert float(mean_loss(losses, jnp.zeros_like(mask))) == 0
