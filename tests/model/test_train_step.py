from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_contracts.systems import RECORDS
from model.initialisation import initial_parameters
from model.optimizer import adabelief
from model.registry import SYSTEMS
from model.schedules import TrainingSchedule
from model.train_step import init_train_state, train_step
from tests.model.structures import STRUCTURES

OPTIMIZER = adabelief(1e-2)
STEPS = 40


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_repeated_batch_is_learned_by_one_compiled_step(name: str, make_batch, two_layers) -> None:
    batch, schedule = make_batch(), TrainingSchedule(2.0, 1e-2, 0.1, 0.6)
    state = init_train_state(SYSTEMS[name], replace(two_layers, zero_init_residuals=True), 0, OPTIMIZER)
    empty, compiled, history = jax.device_get(jax.tree.leaves(state.carried)), train_step._cache_size(), []
    for step in range(STEPS):
        state, metrics = train_step(state, batch, schedule.at(step, STEPS), jax.random.key(step))
        history.append(metrics)
    assert train_step._cache_size() == compiled + 1
    assert int(state.step) == STEPS
    assert all(np.isfinite(value) for metrics in history for value in metrics.values())
    own_first_values = (
        SYSTEMS[name].first_values is not initial_parameters
    )  # with a large tied embedding, which first predicts what it reads
    assert history[0]["lm_loss"] == pytest.approx(
        np.log(two_layers.vocabulary_size), rel=0.3 if own_first_values else 0.2
    )
    part = 0.6 if RECORDS[name].begins_with else 0.5  # the decoder of a fit stays as it was drawn
    assert history[-1]["lm_loss"] < part * history[0]["lm_loss"]
    if "ranking_loss" in metrics:
        assert history[-1]["recall_at_2"] > history[0]["recall_at_2"]
    assert all(jnp.all(jnp.isfinite(value)) for value in state.parameters.values())
    kept = jax.device_get(jax.tree.leaves(state.carried))
    assert (
        bool(empty)
        == (SYSTEMS[name].carry == "document")
        == any(not np.array_equal(*pair) for pair in zip(empty, kept, strict=True))
    )


def test_a_state_gives_its_model(two_layers) -> None:
    state = init_train_state(SYSTEMS["transformer_xl"], two_layers, 0, OPTIMIZER)
    np.testing.assert_array_equal(state.model().embedding.table[...], state.parameters["embedding.table"])
