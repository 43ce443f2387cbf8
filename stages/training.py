"""Training of one system on one corpus: the joint loss of the paper, one sequence batch a step."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np

from data_contracts.failure import Failure
from model.optimizer import make_optimizer
from model.parameters_io import save_parameters
from model.schedules import TrainingSchedule, learning_rate
from model.train_step import TrainState, init_train_state, train_step
from stages.parameters import Geometry, Recipe, Training
from stages.stage import Context, Job
from stages.systems import describe, shape_of, system_of
from stages.tokenizer import load_tokenizer
from stages.training_data import TrainingData

FETCH_STEPS = 10


def train(context: Context, geometry: Geometry, training: Training, recipe: Recipe) -> None:
    """Write model.safetensors, config.json and losses.jsonl (one line a step).

    Raises:
        Failure: if a loss is not finite; it names the step and its sequences.
    """
    assert context.run
    assert context.run_name
    system = system_of(context.run_name, context.run)
    vocabulary = load_tokenizer(context.input("tokenizer")).get_vocab_size()
    shape = shape_of(geometry, training, recipe, vocabulary)
    supervision = None if system.supervision == "none" else context.input(context.run.input)
    data = TrainingData(context.input("sequences"), supervision, geometry)
    schedule = TrainingSchedule(recipe.margin_max, recipe.ranking_weight, recipe.ranking_ramp, recipe.gold_until)
    optimizer = make_optimizer(learning_rate(training.learning_rate, training.steps, training.warmup))
    state = init_train_state(system, shape, context.run.seed, optimizer)
    context.say.progress(0, training.steps, "steps", "compiling")
    state, history = _loop(state, data, schedule, training, context)
    target = context.out("model")
    save_parameters(state.parameters, target / "model.safetensors")
    (target / "config.json").write_text(json.dumps(describe(system, shape), indent=1, sort_keys=True) + "\n")
    (target / "losses.jsonl").write_text("".join(json.dumps(row) + "\n" for row in history))


def _loop(
    state: TrainState, data: TrainingData, schedule: TrainingSchedule, training: Training, context: Context
) -> tuple[TrainState, list[dict]]:
    assert context.run
    key, history, waiting = jax.random.key(context.run.seed), list[dict](), []
    for step in range(training.steps):
        rows = data.rows(step, training.batch, context.run.seed)
        state, metrics = train_step(state, data.batch(rows), schedule.at(step, training.steps), jax.random.fold_in(key, step))
        waiting.append((step, rows, metrics))
        # Values are fetched in groups: waiting for each would leave the device idle between steps.
        if len(waiting) == FETCH_STEPS or step == training.steps - 1:
            for then, its_rows, values in waiting:
                history.append(_checked(then, its_rows, values, data))
            waiting.clear()
            context.say.progress(step + 1, training.steps, "steps", f"loss {history[-1]['lm_loss']:.3f}")
    return state, history


def _checked(step: int, rows: np.ndarray, metrics: dict, data: TrainingData) -> dict:
    values = {name: float(value) for name, value in sorted(metrics.items())}
    if not all(np.isfinite(value) for value in values.values()):
        where = ", ".join(f"{doc_id} from chunk {first}" for doc_id, first in (data.keys[row] for row in rows))
        raise Failure(
            f"training broke at step {step}", f"{values} on {where}", "lower training.learning_rate or the recipe's ranking_weight"
        )
    return {"step": step, **values}


def losses_of(directory: Path) -> list[dict]:
    """The rows of losses.jsonl of a model artifact."""
    return [json.loads(line) for line in (directory / "losses.jsonl").read_text().splitlines()]


STAGE = Job("training", train, ("geometry", "training", "recipe"), {"model": "artifacts/{corpus}/models/{run}"})
