"""A batch in parts, one after the other, teaches what it teaches at once."""

from dataclasses import replace

import jax
import numpy as np
import optax
import pytest

from model.language_model import Schedule
from model.mesh import Layout
from model.registry import SYSTEMS
from model.train_step import init_train_state, train_step
from stages.training.gradient_ratio import gradient_ratio
from tests.model.mesh_worker import CONFIG, make_batch

ROWS = 4
PLAIN = replace(CONFIG, dropout=0.0)
KEEPS_GRADIENTS = optax.chain(optax.trace(0.0), optax.scale(-1e-3))
OWN_ALONE = Schedule(2.0, 0.5, 1.0)
"""Nothing is drawn: every chunk reads its own neighbours."""


def batch_of_uneven_rows():
    """Rows with other numbers of tokens and of labelled queries: a mean of their means would be wrong."""
    batch = make_batch(ROWS)
    mask, labelled = batch.loss_mask_BL.copy(), batch.labelled_BC.copy()
    mask[1, 60:], labelled[2, 10:] = False, False
    return batch._replace(loss_mask_BL=mask, labelled_BC=labelled)


def stepped(system: str, parts: int):
    """Gradients, metrics and what is carried after two steps, the second of which goes on from the first."""
    state = init_train_state(SYSTEMS[system], PLAIN, 0, KEEPS_GRADIENTS, ROWS, Layout(parts=parts))
    batch, key = batch_of_uneven_rows(), jax.random.key(0)
    state, _ = train_step(state, batch, OWN_ALONE, key)
    ratio = gradient_ratio(state, batch, OWN_ALONE, key) if system == "rpt_sem" else 0.0
    state, metrics = train_step(state, batch._replace(starts_B=np.arange(ROWS) > 2), OWN_ALONE, key)
    return jax.device_get((state.optimizer_state[0].trace, metrics, state.carried, ratio))


@pytest.mark.parametrize("system", ["rpt_sem", "memorizing_32k"])
def test_gradients_metrics_and_what_is_carried_are_those_of_the_whole_batch(system):
    whole, parts = stepped(system, 1), stepped(system, 2)
    assert jax.tree.structure(whole) == jax.tree.structure(parts)
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)
    assert whole[1].keys() == parts[1].keys()
    assert whole[1].get("recall_at_2", 1) > 0


def test_a_part_takes_less_memory_than_the_whole():
    def memory(parts):
        state = init_train_state(SYSTEMS["rpt_sem"], PLAIN, 0, KEEPS_GRADIENTS, ROWS, Layout(parts=parts))
        arguments = state, batch_of_uneven_rows(), OWN_ALONE, jax.random.key(0)
        return train_step.lower(*arguments).compile().memory_analysis().temp_size_in_bytes

    assert memory(2) < 0.7 * memory(1)
