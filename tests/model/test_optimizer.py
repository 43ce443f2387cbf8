import jax.numpy as jnp
import numpy as np
import optax
import pytest

from model.optimizer import PROJECTIONS_RATE, adabelief
from model.registry import SYSTEMS
from tests.tiny import tiny_config


def test_two_steps_against_numpy() -> None:
    rate, b1, b2, eps, decay = 0.1, 0.9, 0.99, 1e-16, 1e-8
    optimizer, x = adabelief(rate), {"lower.kernel": jnp.array([1.0, -2.0])}
    state, gradients = optimizer.init(x), [np.array([0.3, -0.1]), np.array([0.1, 0.2])]
    expected, mean, belief = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
    for step, gradient in enumerate(gradients, start=1):
        updates, state = optimizer.update({"lower.kernel": jnp.asarray(gradient)}, state, x)
        x = optax.apply_updates(x, updates)
        mean = b1 * mean + (1 - b1) * gradient
        belief = b2 * belief + (1 - b2) * (gradient - mean) ** 2 + eps
        direction = mean / (1 - b1**step) / (np.sqrt(belief / (1 - b2**step)) + eps)
        expected = expected - rate * (direction + decay * expected)
    np.testing.assert_allclose(x["lower.kernel"], expected, rtol=1e-5)


def test_the_retriever_projections_are_clipped_apart() -> None:
    """Small gradients of the body must not shrink because those of the projections are large, nor the
    reverse.
    """
    scored = (
        "retriever.query_projection.kernel",
        "retriever.key_projection.bias",
        "retriever.lexical.term_scale",
    )
    paths = ("lower.layers.0.attention.query.kernel", *scored)
    x = {path: jnp.ones(2) for path in paths}
    clipped = {}
    for name, size in (("plain", 0.1), ("huge", 1e6)):
        gradients = {
            path: jnp.array([0.1, 0.2]) if path.startswith("lower") else jnp.array([size, 0.0])
            for path in paths
        }
        optimizer = adabelief(1.0)
        _, state = optimizer.update(gradients, optimizer.init(x), x)
        clipped[name] = optax.tree.get(state, "mu")
    np.testing.assert_allclose(clipped["huge"][paths[0]], clipped["plain"][paths[0]])
    norm = optax.tree.norm([clipped["huge"][path] for path in scored])
    np.testing.assert_allclose(norm, 0.1, rtol=1e-5)  # (1 - b1) times a norm clipped to 1


@pytest.mark.parametrize("slow", [("rpt_sem", True), ("rpt_sem_features", True), ("rpt_sem_features", False)])
def test_projections_beside_what_scores_begin_with_learn_slowly_and_nothing_else_does(slow) -> None:
    x = {
        path: jnp.ones(2)
        for path in ("lower.kernel", "retriever.key_projection.kernel", "retriever.lexical.term_scale")
    }
    steps = {}
    for name, start in (("rpt_sem", False), slow):
        optimizer = SYSTEMS[name].optimizer_for(tiny_config(lexical_start=start), 0.1)
        steps[name, start], _ = optimizer.update(
            {path: jnp.array([0.1, 0.2]) for path in x}, optimizer.init(x), x
        )
    for path in x:
        scale = PROJECTIONS_RATE if "projection" in path else 1.0
        np.testing.assert_allclose(steps[slow][path], scale * steps["rpt_sem", False][path], rtol=1e-6)
