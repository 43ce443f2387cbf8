"""Trains a dense retriever from scratch by contrast, as DPR is trained: Adam, the rate warmed up then falling linearly to 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from model.baselines.dpr import DualEncoder, accuracy, dpr_loss, first_parameters, in_batch_scores
from model.config import Shape
from model.parameters import Architecture, Parameters

Progress = Callable[[int, float, float], None]
WARM_UP = 0.067  # official code: 1,237 steps of about 18,400
CLIP_NORM = 2.0
REPORT_EVERY = 20


class Examples(NamedTuple):
    """Chunks [E, M] of E examples: a query, its positive and its hard negative; and a number for each of the two, [E, 2], the same where
    the text is the same."""

    queries_EM: np.ndarray
    positives_EM: np.ndarray
    negatives_EM: np.ndarray
    names_E2: np.ndarray


def train(
    shape: Shape, examples: Examples, steps: int, batch: int, learning_rate: float, seed: int, progress: Progress | None = None
) -> Parameters:
    """Minimises the in-batch loss; a function of its arguments alone.

    Args:
        shape: of both encoders.
        examples: at least `batch` of them.
        steps: updates.
        batch: examples an update.
        learning_rate: peak rate.
        seed: decides the first parameters and the order of the examples, which is drawn anew in each epoch.
        progress: called with (updates done, loss in nats, share of queries that put their positive first) after every 20th update and
            the last.

    Raises:
        ValueError: if a batch needs more examples than there are.
        FloatingPointError: if the loss is no longer finite.
    """
    if not 0 < batch <= len(examples.queries_EM):
        raise ValueError(f"a batch of {batch} cannot be drawn from {len(examples.queries_EM)} examples: lower the batch or give more")
    parameters = first_parameters(shape, seed)
    optimizer = _optimizer(steps, learning_rate)
    state = optimizer.init(parameters)
    update = _compiled_update(Architecture.of(DualEncoder, shape), optimizer)
    for step, rows in enumerate(_batches(len(examples.queries_EM), batch, steps, seed), start=1):
        parameters, state, loss, share = update(parameters, state, Examples(*(values[rows] for values in examples)))
        if step % REPORT_EVERY == 0 or step == steps:
            if not np.isfinite(loss):
                raise FloatingPointError(f"loss is {float(loss)} at update {step} of {steps}; lower the learning rate {learning_rate}")
            if progress:
                progress(step, float(loss), float(share))
    return parameters


def _optimizer(steps: int, learning_rate: float) -> optax.GradientTransformation:
    warm_up = max(1, round(WARM_UP * steps))
    rise = optax.linear_schedule(0.0, learning_rate, warm_up)
    fall = optax.linear_schedule(learning_rate, 0.0, max(1, steps - warm_up))
    return optax.chain(optax.clip_by_global_norm(CLIP_NORM), optax.adam(optax.join_schedules([rise, fall], [warm_up])))


def _compiled_update(architecture: Architecture[DualEncoder], optimizer: optax.GradientTransformation) -> Callable:
    def measure(parameters: Parameters, batch: Examples) -> tuple[Array, Array]:
        model: DualEncoder = architecture.model(parameters)
        passages_PD = model.passage(jnp.concatenate((batch.positives_EM, batch.negatives_EM)))
        queries_BD, names_P = model.query(jnp.asarray(batch.queries_EM)), jnp.asarray(batch.names_E2).T.reshape(-1)
        scores_BP = in_batch_scores(queries_BD, passages_PD, names_P)
        return dpr_loss(scores_BP), accuracy(scores_BP)

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(parameters: Parameters, state: optax.OptState, batch: Examples) -> tuple[Parameters, optax.OptState, Array, Array]:
        (loss, share), gradients = jax.value_and_grad(measure, has_aux=True)(parameters, batch)
        updates, state = optimizer.update(gradients, state, parameters)
        return optax.apply_updates(parameters, updates), state, loss, share

    return update


def _batches(examples: int, batch: int, steps: int, seed: int) -> Iterator[np.ndarray]:
    """Rows of each batch; what is left over at the end of an epoch is not read in it."""
    rng, whole = np.random.default_rng(seed), examples // batch
    for step in range(steps):
        if step % whole == 0:
            order = rng.permutation(examples)
        yield order[step % whole * batch :][:batch]
