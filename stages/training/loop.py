"""The steps of a training run, from the first or from a checkpoint to the last.

What a step reads and draws follows from its number and the seed alone, so a run that is stopped and goes on
from a checkpoint ends with the same bits as one that was not, on the same devices and cores (checkpoints.py).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import numpy as np

from data_contracts.failure import Failure
from model.language_model import Batch, Metrics, Schedule
from model.mesh import Layout, sharded
from model.schedules import TrainingSchedule
from model.train_step import TrainState, train_step
from stages.training.checkpoints import Restored, Saver
from stages.training.data import TrainingData
from stages.training.gradient_ratio import EVERY, gradient_ratio
from stages.training.log import TrainingLog
from stages.training.order import Order, Segments


class Plan(NamedTuple):
    """Everything that is known of run `name` before it begins: `order` says which sequences a step reads,
    `rates` are the learning rates of all steps, `layout` is what it runs on."""

    name: str
    data: TrainingData
    order: Order
    schedule: TrainingSchedule
    rates: np.ndarray
    batch: int
    seed: int
    layout: Layout

    @property
    def steps(self) -> int:
        """How many there are."""
        return len(self.rates)

    def segments(self, step: int) -> Segments:
        """The sequences of a step."""
        return self.order(self.data.keys, step, self.batch, self.seed)

    def inputs(self, step: int) -> tuple[Batch, Schedule, jax.Array]:
        """What a step is given beside the state."""
        key = jax.random.fold_in(jax.random.key(self.seed), step)
        segments = self.segments(step)
        batch = sharded(lambda rows: self.data.batch(segments.of(rows)), self.batch, self.layout)
        return batch, self.schedule.at(step, self.steps), key


class TrainingLoop:
    """A run under way: `state` after `step` steps, and `history`, a row of values a step, which lags behind
    by one step.
    """

    def __init__(self, plan: Plan, begin: Restored, saver: Saver, log: TrainingLog):
        self._plan, self._saver, self._log = plan, saver, log
        self.step, self.state, self.history = begin
        self._unread: Metrics = {}

    def run(self) -> TrainState:
        """The state after the last step.

        Raises:
            Failure: if a value is not finite; it names the step and its sequences. Also as `Saver.save`
                states.
            KeyboardInterrupt: as `Saver.save` states.
        """
        while self.step < self._plan.steps:
            self._advance()
            if self._saver.due:
                self._read_values()
                self._saver.save(self.step, self.state, self.history)
        self._read_values()
        return self.state

    def _advance(self) -> None:
        inputs, ratio = self._plan.inputs(self.step), {}
        if (self.step + 1) % EVERY == 0 and any(
            path.startswith("retriever.") for path in self.state.parameters
        ):
            ratio = {"gradient_ratio": gradient_ratio(self.state, *inputs)}
        self.state, metrics = train_step(self.state, *inputs)
        # The values of a step are read while the device works on the next: waiting for them would leave it
        # idle.
        self._read_values()
        self._unread = {**metrics, **ratio}
        self.step += 1

    def _read_values(self) -> None:
        if self._unread:
            step = len(self.history)
            values = {name: float(value) for name, value in sorted(jax.device_get(self._unread).items())}
            self._unread = {}
            if broken := [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]:
                raise self._failure(step, broken)
            self.history.append(
                {
                    "step": step,
                    **values,
                    "learning_rate": float(self._plan.rates[step]),
                    **self._scheduled(step, values),
                }
            )
            self._log.step(self.history[-1])

    def _scheduled(self, step: int, values: dict[str, float]) -> dict[str, float]:
        return (
            dict(self._plan.schedule.at(step, self._plan.steps)._asdict()) if "ranking_loss" in values else {}
        )

    def _failure(self, step: int, broken: list[str]) -> Failure:
        sequences = [self._plan.data.keys[row] for row in self._plan.segments(step).rows_B]
        where = ", ".join(f"{doc_id} from chunk {first}" for doc_id, first in sequences)
        lower = "lower training.learning_rate (official forms have their own) or the recipe's ranking_weight"
        remedy = f"`./rpt batch {self._plan.name} --step {step}` shows it; {lower}"
        return Failure(f"training broke at step {step}", f"{', '.join(broken)} on {where}", remedy)
