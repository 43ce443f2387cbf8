from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr
from jax.sharding import AbstractMesh, AxisType

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


def sums_between_devices(program: Jaxpr, in_loop: bool = False) -> list[bool]:
    """Of each sum of a table between devices: whether it stands in a loop."""
    found = []
    for equation in program.eqns:
        if (
            equation.primitive.name.startswith("psum")
            and getattr(equation.outvars[0].aval, "shape", ()) == TABLE.shape
        ):
            found.append(in_loop)
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=is_program):
            if is_program(value):
                inner = value.jaxpr if isinstance(value, ClosedJaxpr) else value
                found += sums_between_devices(inner, in_loop or equation.primitive.name == "scan")
    return found


def is_program(value: object) -> bool:
    return isinstance(value, Jaxpr | ClosedJaxpr)


def test_devices_sum_the_gradient_of_the_table_once() -> None:
    """And not in each block, which at the paper's size are 1,024."""
    mesh = AbstractMesh((2, 11), ("data", "sequence"), axis_types=(AxisType.Auto, AxisType.Auto))
    hidden, targets = jnp.tile(HIDDEN, (1, 3, 1)), jnp.tile(TARGETS, (1, 3))

    def total(table: jax.Array) -> jax.Array:
        return jnp.sum(token_losses(hidden, table, targets, 1))

    with jax.sharding.use_abstract_mesh(mesh):
        program = jax.make_jaxpr(jax.jit(jax.grad(total)))(TABLE)
    assert sums_between_devices(program.jaxpr) == [False]
    assert sums_between_devices(jax.make_jaxpr(jax.grad(total))(TABLE).jaxpr) == []


def test_the_mean_is_over_the_mask_of_the_whole_batch() -> None:
    losses = jnp.arange(6.0).reshape(2, 3)
    mask = jnp.array([[True, False, False], [True, True, False]])
    assert float(mean_loss(losses, mask)) == pytest.approx((0 + 3 + 4) / 3)
    assert float(mean_loss(losses, jnp.zeros_like(mask))) == 0
