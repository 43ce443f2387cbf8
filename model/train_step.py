"""One update of any system: sum its losses, differentiate, step. It knows no architecture."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from model.batch_parts import sum_over_parts
from model.config import ModelConfig
from model.decoder import State
from model.language_model import Batch, LanguageModel, Metrics, Schedule
from model.mesh import ONE_DEVICE, Layout
from model.parameters import Architecture, Parameters
from model.system import System


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["parameters", "optimizer_state", "step", "carried"],
    meta_fields=["architecture", "optimizer", "layout"],
)
@dataclass(frozen=True)
class TrainState:
    """What training carries from step to step; the architecture, the optimizer and the layout are static.

    `carried` is what the layers keep of the documents of the last batch, None for systems trained on
    independent sequences.
    """

    parameters: Parameters
    optimizer_state: Any
    step: Array
    carried: State
    architecture: Architecture = field(repr=False)
    optimizer: optax.GradientTransformation = field(repr=False)
    layout: Layout = field(repr=False)

    def model(self) -> LanguageModel:
        """The model as it stands."""
        return self.architecture.model(self.parameters)


def init_train_state(
    system: System,
    config: ModelConfig,
    seed: int,
    optimizer: optax.GradientTransformation,
    rows: int = 1,
    layout: Layout = ONE_DEVICE,
) -> TrainState:
    """The state before the first step, for batches of `rows` sequences, laid out as `layout` says.

    Pass one optimizer object to all states that should share a compiled step.
    """
    architecture = Architecture.of(system.build, config)
    parameters = layout.placed(system.first_values(architecture, config, seed))
    carried = (
        jax.jit(lambda: architecture.model(parameters).start(rows))() if system.carry == "document" else None
    )
    return TrainState(
        parameters,
        layout.made(optimizer.init, parameters),
        layout.placed(jnp.zeros((), jnp.int32)),
        layout.by_row(carried),
        architecture,
        optimizer,
        layout,
    )


@partial(jax.jit, donate_argnames="state")
def train_step(state: TrainState, batch: Batch, schedule: Schedule, key: Array) -> tuple[TrainState, Metrics]:
    """The state after one update and its metrics: those of the system, `loss` and `grad_norm` (before
    clipping). Uses up `state`.
    """
    layout = state.layout

    def total_loss(parameters: Parameters, part: Batch, key: Array, before: State) -> tuple[Array, Any]:
        trained = state.architecture.model(parameters).train_losses(part, schedule, key, before)
        total = sum(trained.losses.values(), start=jnp.zeros(()))
        return total, ({"loss": total, **trained.metrics}, trained.carried)

    def differentiated(part: Batch, key: Array, before: State) -> tuple[tuple[Parameters, Metrics], State]:
        with layout.in_use():
            gradients, (metrics, after) = jax.grad(total_loss, has_aux=True)(
                state.parameters, part, key, before
            )
        return (layout.kept(gradients), metrics), after

    (gradients, metrics), carried = sum_over_parts(
        differentiated, state.model().counts, layout.parts, batch, key, state.carried
    )
    updates, optimizer_state = state.optimizer.update(gradients, state.optimizer_state, state.parameters)
    parameters = layout.kept(optax.apply_updates(state.parameters, updates))
    metrics = {**metrics, "grad_norm": optax.tree.norm(gradients)}
    following = replace(
        state,
        parameters=parameters,
        optimizer_state=layout.kept(optimizer_state),
        step=state.step + 1,
        carried=carried,
    )
    return following, metrics
