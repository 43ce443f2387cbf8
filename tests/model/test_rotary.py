import jax
import jax.numpy as jnp
import numpy as np

from model.rotary import rotate


def test_products_depend_on_the_difference_of_positions() -> None:
    q, k = jax.random.normal(jax.random.key(0), (2, 1, 1, 1, 8))
    products = [jnp.sum(rotate(q, jnp.array([p + 3])) * rotate(k, jnp.array([p]))) for p in (0, 5, 90)]
    np.testing.assert_allclose(products, products[0], atol=2e-6)
    assert abs(products[0] - jnp.sum(rotate(q, jnp.array([4])) * rotate(k, jnp.array([0])))) > 1e-3


def test_pairs_are_interleaved() -> None:
    x = jnp.arange(1.0, 5.0).reshape(1, 1, 4)
    slow = 10_000.0**-0.5
    expected = [
        np.cos(2) - 2 * np.sin(2),
        np.sin(2) + 2 * np.cos(2),
        3 * np.cos(2 * slow) - 4 * np.sin(2 * slow),
        3 * np.sin(2 * slow) + 4 * np.cos(2 * slow),
    ]
    np.testing.assert_allclose(rotate(x, jnp.array([2]))[0, 0], expected, rtol=1e-6)
