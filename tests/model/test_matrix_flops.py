"""Matrix products are counted wherever JAX puts them."""

import jax
import jax.numpy as jnp
import pytest

from model.matrix_flops import matrix_flops

A = jnp.ones((3, 3))
PRODUCT = 2 * 3**3


@jax.custom_vjp
def squared(x):
    return x @ x


squared.defvjp(lambda x: (x @ x, x), lambda x, g: (g @ x.T + x.T @ g,))

FUNCTIONS = {
    "jit": (jax.jit(lambda x: x @ x), 1),
    "scan": (lambda x: jax.lax.scan(lambda carry, _: (carry @ x, None), x, length=5)[0], 5),
    "map": (lambda x: jax.lax.map(lambda row: row @ x, x), 1),
    "fori_loop": (lambda x: jax.lax.fori_loop(0, 4, lambda _, y: y @ x, x), 4),
    "checkpoint": (jax.checkpoint(lambda x: x @ x), 1),
    "cond": (lambda x: jax.lax.cond(x[0, 0] > 0, lambda y: y @ y @ y, lambda y: y @ y, x), 2),
    "custom_vjp": (squared, 1),
    "vmap": (lambda x: jax.vmap(lambda row: row @ x)(x), 1),
    "gradient": (jax.grad(lambda x: jnp.sum(squared(x))), 3),
    "gradient of what is not kept": (
        jax.grad(lambda x: jnp.sum(jax.checkpoint(lambda y: jnp.sin(y @ y))(x))),
        4,
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_products_are_found(name):
    function, products = FUNCTIONS[name]
    assert matrix_flops(jax.make_jaxpr(function)(A).jaxpr) == products * PRODUCT


def test_a_loop_without_an_end_in_sight_is_refused():
    def until_large(x):
        return jax.lax.while_loop(lambda y: y[0, 0] < 100, lambda y: y @ x, x)

    with pytest.raises(ValueError, match="rounds are not known"):
        matrix_flops(jax.make_jaxpr(until_large)(A).jaxpr)
    assert (
        matrix_flops(
            jax.make_jaxpr(lambda x: jax.lax.while_loop(lambda y: y[0, 0] < 100, lambda y: y + x, x))(A).jaxpr
        )
        == 0
    )
