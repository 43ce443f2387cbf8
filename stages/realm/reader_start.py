"""A reader that learns to read before anything is retrieved for it: from passages that say the answer
elsewhere, and from none.

REALM's reader begins as BERT, after a million updates; one of random weights does not look at what it is
given in the few that are made here, and what it does not look at teaches the embedder nothing. So each
question is read twice, with the null document and with a passage that has its answer, drawn anew each time,
and both count the same. The embedder has no part in it. The passage is of the same document; of an answer
that is said nowhere else, it is any.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import NamedTuple

import jax
import numpy as np
import optax
from jax import Array

from model.baselines.realm import Batch, Reader, mean_over_tokens, of_answers, read_rows
from model.parameters import Architecture, Parameters
from stages.realm.batches import Data, orders
from stages.realm.optimizer import make_optimizer
from stages.training.checkpoints import Restored

MOST = 16  # passages kept for an answer


class ReaderStart(NamedTuple):
    """How long and how fast; `seed` decides order, passages and dropout."""

    steps: int
    batch: int
    learning_rate: float
    seed: int


def passages_with_answers(data: Data) -> tuple[list[np.ndarray], int]:
    """For each question at most 16 passages of its document that say its answer and do not hold the question,
    or any of its document; and for how many questions there is one that says it."""
    doc_ids, found, with_answer = np.array(data.passages.doc_ids), [], 0
    of_document = {
        doc_id: np.flatnonzero(doc_ids == doc_id) for doc_id in dict.fromkeys(data.passages.doc_ids)
    }
    everywhere = np.arange(len(doc_ids))
    for question, (answer, doc_id) in enumerate(
        zip(data.questions.answers, data.questions.doc_ids, strict=True)
    ):
        rows = np.array([question])
        others = [number for number in of_document[doc_id].tolist() if not data.trivial(rows, 0, number)]
        saying = [number for number in others if answer in data.passages.plain[number]]
        with_answer += bool(saying)
        kept = np.array(saying or others or everywhere)
        found.append(kept[np.linspace(0, len(kept) - 1, min(MOST, len(kept))).astype(int)])
    return found, with_answer


def fresh(parameters: Parameters, plan: ReaderStart) -> Restored:
    """Before the first update; the state is parameters of the reader and optimizer."""
    return Restored(0, (parameters, make_optimizer(plan.learning_rate, plan.steps).init(parameters)), [])


def learn_to_read(
    architecture: Architecture[Reader],
    begin: Restored,
    data: Data,
    saying: list[np.ndarray],
    plan: ReaderStart,
    after: Callable[[Restored], None],
) -> Restored:
    """Minimises the mean of both losses from `begin`, which is used up; a row of history for each update has
    them in nats a masked token.

    Raises:
        ValueError: if a batch needs more questions than there are.
        FloatingPointError: if the loss is no longer finite.
    """
    count = len(saying)
    if count < plan.batch:
        raise ValueError(
            f"a batch of {plan.batch} cannot be drawn from {count} questions: lower the batch or give more"
            " text"
        )
    update, root, now = _compiled_update(architecture, plan), jax.random.key(plan.seed), begin
    for step, rows in islice(
        enumerate(orders(count, plan.batch, plan.steps, plan.seed), start=1), begin.step, None
    ):
        rng = np.random.default_rng([plan.seed, step])
        ids_B1 = np.array([[rng.choice(saying[question])] for question in rows.tolist()])
        *state, without, loss = update(*now.state, data.batch(rows, ids_B1), jax.random.fold_in(root, step))
        row = {"step": step, "loss": float(loss), "without": float(without)}
        if not np.isfinite(row["loss"] + row["without"]):
            raise FloatingPointError(
                f"loss is {row['loss']} at update {step} of the reader's start; lower its learning rate"
            )
        now = Restored(step, tuple(state), [*now.history, row])
        after(now)
    return now


def _compiled_update(architecture: Architecture[Reader], plan: ReaderStart) -> Callable:
    optimizer = make_optimizer(plan.learning_rate, plan.steps)

    def measure(parameters: Parameters, batch: Batch, key: Array) -> tuple[Array, tuple[Array, Array]]:
        given_BNA = of_answers(read_rows(architecture.model(parameters), batch, key), batch)
        without, loss = (-mean_over_tokens(given_BNA[:, number], batch.weights_BA) for number in (0, 1))
        return (without + loss) / 2, (without, loss)

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(parameters: Parameters, state: optax.OptState, batch: Batch, key: Array) -> tuple:
        (_, losses), gradients = jax.value_and_grad(measure, has_aux=True)(parameters, batch, key)
        updates, state = optimizer.update(gradients, state, parameters)
        return optax.apply_updates(parameters, updates), state, *losses

    return update
