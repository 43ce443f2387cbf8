"""The step without data is the step that training does."""

import jax
import numpy as np
import pytest

from model.abstract_step import StepSizes, abstract_step
from model.language_model import Schedule
from model.mesh import make_layout, sharded
from model.optimizer import adabelief
from model.registry import SYSTEMS
from model.train_step import init_train_state
from tests.model.mesh_worker import CONFIG, make_batch

CHUNKS, SLOTS = 32, 3


@pytest.mark.parametrize("name", ["rpt_sem", "transformer_xl_carry", "retro_corpus"])
def test_types_are_those_of_a_real_step(name):
    system, optimizer, rows = SYSTEMS[name], adabelief(1e-3), 2
    step = abstract_step(
        system, CONFIG, StepSizes(rows, CHUNKS * CONFIG.chunk_tokens, SLOTS), optimizer, jax.devices()[:1]
    )
    layout = make_layout(rows, CHUNKS // CONFIG.stride_chunks, devices=jax.devices()[:1])
    state = init_train_state(system, CONFIG, 0, optimizer, rows, layout)
    batch_of_all = make_batch(rows)
    if system.supervision == "corpus":
        batch_of_all = batch_of_all._replace(
            passages_BCNR=np.zeros((rows, CHUNKS, CONFIG.neighbours, 2 * CONFIG.chunk_tokens), np.int32)
        )
    batch = sharded(lambda part: jax.tree.map(lambda array: array[part], batch_of_all), rows, layout)
    real = state, batch, Schedule(1.0, 0.0, 0.0), jax.random.key(0)
    assert jax.tree.map(np.shape, real) == jax.tree.map(np.shape, step.arguments)
    assert [leaf.dtype for leaf in jax.tree.leaves(real[:2])] == [
        leaf.dtype for leaf in jax.tree.leaves(step.arguments[:2])
    ]
    assert step.state_bytes == sum(leaf.nbytes for leaf in jax.tree.leaves(state))
