"""One update of any system: sum its losses, differentiate, step. It knows no architecture."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from model.config import ModelConfig
from model.decoder import State
from model.language_model import Batch, LanguageModel, Metrics, Schedule
from model.parameters import Architecture, Parameters
from model.system import System


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["parameters", "optimizer_state", "step", "carried"],
    meta_fields=["architecture", "optimizer"],
)
@dataclass(frozen=True)
class TrainState:
    """What training carries from step to step; the architecture and the optimizer are static.

    `carried` is what the layers keep of the documents of the last batch, None for systems trained on
    independent sequences.
    """

    parameters: Parameters
    optimizer_state: Any
    step: Array
    carried: State
    architecture: Architecture = field(repr=False)
    optimizer: optax.GradientTransformation = field(repr=False)

    def model(self) -> LanguageModel:
        """The model as it stands."""
        return self.architecture.model(self.parameters)


def init_train_state(
    system: System, config: ModelConfig, seed: int, optimizer: optax.GradientTransformation, rows: int = 1
) -> TrainState:
    """The state before the first step, for batches of `rows` sequences.

    Pass one optimizer object to all states that should share a compiled step.
    """
    architecture = Architecture.of(system.build, config)
    parameters = system.first_values(architecture, config, seed)
    carried = (
        jax.jit(lambda: architecture.model(parameters).start(rows))() if system.carry == "document" else None
    )
    return TrainState(
        parameters, optimizer.init(parameters), jnp.zeros((), jnp.int32), carried, architecture, optimizer
    )


@partial(jax.jit, donate_argnames="state")
def train_step(state: TrainState, batch: Batch, schedule: Schedule, key: Array) -> tuple[TrainState, Metrics]:
    """The state after one update and its metrics: those of the system, `loss` and `grad_norm` (before
    clipping). Uses up `state`.
    """

    def total_loss(parameters: Parameters) -> tuple[Array, tuple[Metrics, State]]:
        losses, metrics, carried = state.architecture.model(parameters).train_losses(
            batch, schedule, key, state.carried
        )
        total = sum(losses.values(), start=jnp.zeros(()))
        return total, ({"loss": total, **metrics}, carried)

    gradients, (metrics, carried) = jax.grad(total_loss, has_aux=True)(state.parameters)
    updates, optimizer_state = state.optimizer.update(gradients, state.optimizer_state, state.parameters)
    parameters: Any = optax.apply_updates(state.parameters, updates)
    metrics = {**metrics, "grad_norm": optax.tree.norm(gradients)}
    return (
        TrainState(parameters, optimizer_state, state.step + 1, carried, state.architecture, state.optimizer),
        metrics,
    )
