"""Trains a dense retriever by contrast, as DPR is trained: Adam, the rate warmed up then falling linearly to
0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from model.baselines.dpr import DualEncoder, accuracy, dpr_loss, in_batch_scores
from model.parameters import Architecture, Parameters
from stages.training.checkpoints import Restored

After = Callable[[Restored], None]
WARM_UP = 0.067  # official code: 1,237 steps of about 18,400; a share here, which longer runs make longer
CLIP_NORM = 2.0
REPORT_EVERY = 20


class Examples(NamedTuple):
    """What is encoded of E examples, [E, M]: a query, its positive and its hard negative; and a number for
    each of the two, [E, 2], the same where the text is the same."""

    queries_EM: np.ndarray
    positives_EM: np.ndarray
    negatives_EM: np.ndarray
    names_E2: np.ndarray


class Plan(NamedTuple):
    """How long and how fast; `seed` decides the order of the examples, drawn anew in each epoch, and what
    dropout drops.
    """

    steps: int
    batch: int
    learning_rate: float
    seed: int


def fresh(parameters: Parameters, plan: Plan) -> Restored:
    """Training before the first update, with these first values; its state is parameters and optimizer."""
    return Restored(0, (parameters, _optimizer(plan).init(parameters)), [])


def train(
    architecture: Architecture[DualEncoder],
    begin: Restored,
    examples: Examples,
    plan: Plan,
    after: After = lambda now: None,
) -> Restored:
    """Minimises the in-batch loss from `begin`, which is used up; a function of its arguments alone.

    The history has a row for every 20th update and the last: updates done, loss in nats, and the share of
    queries that put their positive first. `after` is called after each update with training as it stands.

    Raises:
        ValueError: if a batch needs more examples than there are.
        FloatingPointError: if the loss is no longer finite.
    """
    if not 0 < plan.batch <= len(examples.queries_EM):
        raise ValueError(
            f"a batch of {plan.batch} cannot be drawn from {len(examples.queries_EM)} examples: lower the"
            " batch or give more"
        )
    update, root, now = _compiled_update(architecture, _optimizer(plan)), jax.random.key(plan.seed), begin
    for step, rows in islice(enumerate(_batches(len(examples.queries_EM), plan), start=1), begin.step, None):
        part, key = Examples(*(values[rows] for values in examples)), jax.random.fold_in(root, step)
        parameters, state, loss, share = update(*now.state, part, key)
        reported = step % REPORT_EVERY == 0 or step == plan.steps
        row = [{"step": step, "loss": float(loss), "accuracy": float(share)}] if reported else []
        if row and not np.isfinite(row[0]["loss"]):
            raise FloatingPointError(
                f"loss is {row[0]['loss']} at update {step} of {plan.steps}; lower the learning rate"
                f" {plan.learning_rate}"
            )
        now = Restored(step, (parameters, state), now.history + row if row else now.history)
        after(now)
    return now


def _optimizer(plan: Plan) -> optax.GradientTransformation:
    warm_up = max(1, round(WARM_UP * plan.steps))
    rise = optax.linear_schedule(0.0, plan.learning_rate, warm_up)
    fall = optax.linear_schedule(plan.learning_rate, 0.0, max(1, plan.steps - warm_up))
    return optax.chain(
        optax.clip_by_global_norm(CLIP_NORM), optax.adam(optax.join_schedules([rise, fall], [warm_up]))
    )


def _compiled_update(
    architecture: Architecture[DualEncoder], optimizer: optax.GradientTransformation
) -> Callable:
    def measure(parameters: Parameters, batch: Examples, key: Array) -> tuple[Array, Array]:
        model, (passage_key, query_key) = architecture.model(parameters), jax.random.split(key)
        passages_PD = model.passage(jnp.concatenate((batch.positives_EM, batch.negatives_EM)), passage_key)
        queries_BD, names_P = (
            model.query(jnp.asarray(batch.queries_EM), query_key),
            jnp.asarray(batch.names_E2).T.reshape(-1),
        )
        scores_BP = in_batch_scores(queries_BD, passages_PD, names_P)
        return dpr_loss(scores_BP), accuracy(scores_BP)

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(
        parameters: Parameters, state: optax.OptState, batch: Examples, key: Array
    ) -> tuple[Parameters, optax.OptState, Array, Array]:
        (loss, share), gradients = jax.value_and_grad(measure, has_aux=True)(parameters, batch, key)
        updates, state = optimizer.update(gradients, state, parameters)
        return optax.apply_updates(parameters, updates), state, loss, share

    return update


def _batches(examples: int, plan: Plan) -> Iterator[np.ndarray]:
    """Rows of each batch; what is left over at the end of an epoch is not read in it."""
    rng, whole = np.random.default_rng(plan.seed), examples // plan.batch
    for step in range(plan.steps):
        if step % whole == 0:
            order = rng.permutation(examples)
        yield order[step % whole * plan.batch :][: plan.batch]
