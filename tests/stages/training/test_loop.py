"""What a step of a run is given: it follows from the number of the step and the seed."""

from types import SimpleNamespace

import jax
import numpy as np

from model.language_model import Batch
from model.mesh import ONE_DEVICE
from model.schedules import TrainingSchedule
from stages.training.loop import Plan
from stages.training.order import independent


def plan(seed: int) -> Plan:
    """Four steps on one sequence."""
    data = SimpleNamespace(keys=[("a", 0)], batch=lambda _: Batch(*[np.zeros((1, 1))] * 7))
    return Plan(
        "a", data, independent, TrainingSchedule(2.0, 1e-2, 0.1, 0.6), np.ones(4), 1, seed, ONE_DEVICE
    )


def test_every_step_and_every_seed_draws_anew_and_the_same_again():
    drawn = [
        [float(jax.random.uniform(plan(seed).inputs(step)[2])) for step in range(4)] for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1]
    assert len({*drawn[0], *drawn[2]}) == 8
