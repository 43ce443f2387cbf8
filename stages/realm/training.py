"""Trains REALM with an index that moves.

Before an update its questions are embedded by the weights of now, the index gives their candidates, and the
update embeds these again: what an index is behind decides which passages are seen and nothing else. When the
rule asks for a refresh, the embedder's weights are taken as they are; the index made of them takes over a
fixed number of updates later, waited for if need be, so that the result does not depend on how long building
took. A checkpoint has the weights that the index of now was made of, and those of one that is in the making.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from itertools import islice
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from model.baselines.realm import Batch, Embedder, Realm, RealmConfig, mean_over_tokens, utility
from model.parameters import Architecture, Parameters
from stages.realm.batches import Data, orders
from stages.realm.building import Build, Building
from stages.realm.index import Index, embed, recall
from stages.realm.optimizer import EMBEDDER, copied, make_optimizer, part_of
from stages.realm.refresh import Probe, Refresh
from stages.training.checkpoints import Restored


class Plan(NamedTuple):
    """How long, how fast and of how many passages beside the null document; `seed` decides the order of
    questions and what is dropped.
    """

    steps: int
    batch: int
    learning_rate: float
    candidates: int
    seed: int


class State(NamedTuple):
    """All that training goes on from: weights and optimizer, the embedders that the index and the next one
    are made of, and in `marks` the version of the index, the update it was built from, and that of the next
    one, -1 where none is in the making.
    """

    parameters: Parameters
    optimizer: Any
    indexed: Parameters
    pending: Parameters
    marks: Array


class Architectures(NamedTuple):
    """Of the whole, and of its embedder alone."""

    realm: Architecture[Realm]
    embedder: Architecture[Embedder]

    @classmethod
    def of(cls, config: RealmConfig) -> Architectures:
        """Those of a configuration."""
        return cls(Architecture.of(Realm, config), Architecture.of(Embedder, config))


def fresh(parameters: Parameters, plan: Plan) -> Restored:
    """Training before the first update, with an index of the first weights."""
    state = State(
        parameters,
        make_optimizer(plan.learning_rate, plan.steps).init(parameters),
        copied(part_of(parameters, EMBEDDER)),
        copied(part_of(parameters, EMBEDDER)),
        jnp.array([1, 0, -1]),
    )
    return Restored(0, state, [])


class MovingIndex:
    """The index of now and, between the beginning of a refresh and its hand-over, the next one in
    the making.
    """

    def __init__(self, build: Build, state: State) -> None:
        version, built_from, pending_from = np.asarray(state.marks).tolist()
        self._build, self.indexed, self.pending, self.pending_from = (
            build,
            state.indexed,
            state.pending,
            pending_from,
        )
        self.now = Index(build(state.indexed)(), version, built_from)
        self._next: Building | None = build(state.pending) if pending_from >= 0 else None

    @property
    def marks(self) -> Array:
        """See `State`."""
        return jnp.array([self.now.version, self.now.built_from, self.pending_from])

    def begin(self, step: int, parameters: Parameters) -> None:
        """Begin a refresh with the weights after update `step`, unless one is in the making."""
        if self._next is None:
            self.pending, self.pending_from = copied(part_of(parameters, EMBEDDER)), step
            self._next = self._build(self.pending)

    def take_over(self) -> Index:
        """The next index becomes that of now; returned is the one before."""
        assert self._next
        before = self.now
        self.now = Index(self._next(), before.version + 1, self.pending_from)
        self.indexed, self.pending_from, self._next = self.pending, -1, None
        return before


def train(
    architectures: Architectures,
    begin: Restored,
    data: Data,
    plan: Plan,
    refresh: Refresh,
    probe: Probe,
    build: Build,
    after: Callable[[Restored], None],
) -> Restored:
    """Maximises p(y | x) from `begin`, which is used up; a function of its arguments alone. `after` is called
    after each update.

    The history has a row for each update: loss and utility in nats a masked token, the mean of the best p(z |
    x) over its queries and of that of the null document, trivial passages left out, version of the index and
    the update it was built from; `recall` where the probe was made; and where an index took over,
    `old_recall`, what the one before still found of what it finds for the probe's questions.

    Raises:
        ValueError: if a batch needs more questions than there are.
        Failure: (exit code 2) if a query has fewer candidates than asked for.
        FloatingPointError: if the loss is no longer finite.
    """
    count = len(data.questions.answers)
    if count < plan.batch:
        raise ValueError(
            f"a batch of {plan.batch} cannot be drawn from {count} questions: lower the batch or give more"
            " text"
        )
    update, root, now = _compiled_update(architectures.realm, plan), jax.random.key(plan.seed), begin
    moving, embedder = MovingIndex(build, begin.state), architectures.embedder
    for step, rows_B in islice(
        enumerate(orders(count, plan.batch, plan.steps, plan.seed), start=1), begin.step, None
    ):
        parameters, optimizer = now.state.parameters, now.state.optimizer
        measured: dict[str, float] = {}
        if moving.pending_from >= 0 and step > moving.pending_from + refresh.hand_over:
            before = moving.take_over()
            measured["old_recall"] = _old_recall(
                embedder, parameters, probe, before, moving.now, plan.candidates
            )
        queries_BE = embed(embedder, part_of(parameters, EMBEDDER), data.questions.rows_QT[rows_B])
        best = moving.now.search(queries_BE, plan.candidates, partial(data.trivial, rows_B))
        batch = data.batch(rows_B, best.ids_BN)
        parameters, optimizer, figures = update(parameters, optimizer, batch, jax.random.fold_in(root, step))
        row = _row(step, figures, best.trivial, plan)
        if refresh.probed(step):
            weights = part_of(parameters, EMBEDDER)
            measured["recall"] = probe.recall(embedder, weights, moving.now.keys_XE, plan.candidates)
        row |= {"version": moving.now.version, "built_from": moving.now.built_from, **measured}
        if refresh.wanted(step, measured.get("recall")) and step + refresh.hand_over < plan.steps:
            moving.begin(step, parameters)
        state = State(parameters, optimizer, moving.indexed, moving.pending, moving.marks)
        now = Restored(step, state, [*now.history, row])
        after(now)
    return now


def _row(step: int, figures: Mapping[str, Array], trivial: int, plan: Plan) -> dict[str, float]:
    """What is known of an update; raises FloatingPointError if its loss is not finite."""
    row = {"step": step, **{name: float(value) for name, value in figures.items()}, "trivial": trivial}
    if not np.isfinite(row["loss"]):
        raise FloatingPointError(
            f"loss is {row['loss']} at update {step} of {plan.steps}; lower the learning rate"
            f" {plan.learning_rate}"
        )
    return row


def _old_recall(
    embedder: Architecture[Embedder],
    parameters: Parameters,
    probe: Probe,
    before: Index,
    now: Index,
    candidates: int,
) -> float:
    queries = embed(embedder, part_of(parameters, EMBEDDER), probe.questions_QT)
    old, new = (index.search(queries, candidates).ids_BN for index in (before, now))
    return recall(old, new)


@lru_cache(maxsize=2)
def _compiled_update(architecture: Architecture[Realm], plan: Plan) -> Callable:
    optimizer = make_optimizer(plan.learning_rate, plan.steps)

    def measure(parameters: Parameters, batch: Batch, key: Array) -> tuple[Array, dict[str, Array]]:
        outcome = architecture.model(parameters)(batch, key)
        loss = -mean_over_tokens(outcome.marginal_BA, batch.weights_BA)
        prior_BN = jnp.exp(outcome.prior_BN)
        figures = {
            "loss": loss,
            "utility": mean_over_tokens(utility(outcome), batch.weights_BA),
            "best": jnp.mean(jnp.max(prior_BN, axis=1)),
            "null": jnp.mean(prior_BN[:, 0]),
        }
        return loss, figures

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(parameters: Parameters, state: optax.OptState, batch: Batch, key: Array) -> tuple:
        (_, figures), gradients = jax.value_and_grad(measure, has_aux=True)(parameters, batch, key)
        updates, state = optimizer.update(gradients, state, parameters)
        return optax.apply_updates(parameters, updates), state, figures

    return update
