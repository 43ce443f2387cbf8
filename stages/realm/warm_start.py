"""The inverse cloze task (Lee et al., arXiv 1906.00300): an embedder learns to find the passage that a
sentence was taken out of.

REALM's embedder begins so, because an embedder of random weights retrieves nothing that is worth reading, and
a reader that ignores what it is given teaches the embedder nothing (section 3.4). The sentence stays in its
passage in one of ten examples, so that shared words help.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from tokenizers import Tokenizer

from model.baselines.dpr import accuracy, dpr_loss, in_batch_scores
from model.baselines.realm import Embedder
from model.parameters import Architecture, Parameters
from stages.realm.batches import orders
from stages.realm.layout import Layout, plain, rows_of
from stages.realm.optimizer import make_optimizer
from stages.realm.passages import Document
from stages.realm.spans import SHORTEST_WORDS, sentences
from stages.training.checkpoints import Restored

After = Callable[[Restored], None]
KEPT = 0.1


class Cloze(NamedTuple):
    """C sentences and the passages they were taken out of, as rows, and a number for each passage, the same
    for the same one.
    """

    sentences_CT: np.ndarray
    passages_CT: np.ndarray
    names_C: np.ndarray


class WarmStart(NamedTuple):
    """How long and how fast; `seed` decides order and dropout."""

    steps: int
    batch: int
    learning_rate: float
    seed: int


def make_cloze(documents: list[Document], tokenizer: Tokenizer, layout: Layout, seed: int) -> Cloze:
    """Every sentence that lies whole in a passage which has as many words besides; nothing of what is held
    out.
    """
    rng, taken, left, names = np.random.default_rng(seed), [], [], []
    for document in documents:
        ends = np.cumsum([len(text) for text in document.texts])
        text = "".join(document.texts)
        for begin, end in sentences(text):
            place = int(np.searchsorted(ends, begin, "right"))
            if document.numbers[place] < 0 or end > ends[place]:
                continue
            first = begin - int(ends[place]) + len(document.texts[place])
            passage = document.texts[place]
            rest = plain(passage[:first] + " " + passage[first + end - begin :])
            if len(rest.split()) >= SHORTEST_WORDS:
                taken.append(plain(text[begin:end]))
                left.append(plain(passage) if rng.random() < KEPT else rest)
                names.append(int(document.numbers[place]))
    (sentence_rows, _), (passage_rows, _) = (
        rows_of([found.ids for found in tokenizer.encode_batch(texts)], length, layout)
        for texts, length in ((taken, layout.query), (left, layout.passage))
    )
    return Cloze(sentence_rows, passage_rows, np.array(names, np.int32))


def fresh(parameters: Parameters, plan: WarmStart) -> Restored:
    """Before the first update; the state is parameters of the embedder and optimizer."""
    return Restored(0, (parameters, make_optimizer(plan.learning_rate, plan.steps).init(parameters)), [])


def warm_up(
    architecture: Architecture[Embedder], begin: Restored, cloze: Cloze, plan: WarmStart, after: After
) -> Restored:
    """Minimises the in-batch loss from `begin`, which is used up; a row of history for each update: loss in
    nats and the share of the sentences whose passage comes first. `after` is called after each update.

    Raises:
        ValueError: if a batch needs more examples than there are.
        FloatingPointError: if the loss is no longer finite.
    """
    if len(cloze.names_C) < plan.batch:
        raise ValueError(
            f"a batch of {plan.batch} cannot be drawn from {len(cloze.names_C)} sentences: lower the batch or"
            " give more text"
        )
    update, root, now = _compiled_update(architecture, plan), jax.random.key(plan.seed), begin
    order = orders(len(cloze.names_C), plan.batch, plan.steps, plan.seed)
    for step, rows in islice(enumerate(order, start=1), begin.step, None):
        part = Cloze(*(values[rows] for values in cloze))
        *state, loss, share = update(*now.state, part, jax.random.fold_in(root, step))
        row = {"step": step, "loss": float(loss), "accuracy": float(share)}
        if not np.isfinite(row["loss"]):
            raise FloatingPointError(
                f"loss is {row['loss']} at update {step} of the warm start; lower its learning rate"
            )
        now = Restored(step, tuple(state), [*now.history, row])
        after(now)
    return now


def _compiled_update(architecture: Architecture[Embedder], plan: WarmStart) -> Callable:
    optimizer = make_optimizer(plan.learning_rate, plan.steps)

    def measure(parameters: Parameters, cloze: Cloze, key: Array) -> tuple[Array, Array]:
        embedder, (query_key, passage_key) = architecture.model(parameters), jax.random.split(key)
        queries_BE = embedder(jnp.asarray(cloze.sentences_CT), query_key)
        passages_BE = embedder(jnp.asarray(cloze.passages_CT), passage_key)
        scores_BB = in_batch_scores(queries_BE, passages_BE, jnp.asarray(cloze.names_C))
        return dpr_loss(scores_BB), accuracy(scores_BB)

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(parameters: Parameters, state: optax.OptState, cloze: Cloze, key: Array) -> tuple:
        (loss, share), gradients = jax.value_and_grad(measure, has_aux=True)(parameters, cloze, key)
        updates, state = optimizer.update(gradients, state, parameters)
        return optax.apply_updates(parameters, updates), state, loss, share

    return update
