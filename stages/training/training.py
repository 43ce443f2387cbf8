"""Training of one system on one corpus: the joint loss of the paper, one sequence batch a step."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax

from model.abstract_step import state_bytes
from model.config import ModelConfig
from model.mesh import Layout, make_layout
from model.parameters_io import save_parameters
from model.schedules import TrainingSchedule, learning_rate
from model.system import System
from model.train_step import init_train_state
from stages.parameters import Geometry, Recipe, Training
from stages.runner.interruption import Interruption
from stages.runner.stage import Context, Job
from stages.tokens.tokenizer import load_tokenizer, vocabulary_size
from stages.training.checkpoints import Checkpoints, Restored, Saver, jsonl
from stages.training.data import TrainingData, data_of
from stages.training.log import PLACE, TrainingLog, work_of
from stages.training.loop import Plan, TrainingLoop
from stages.training.order import ORDERS
from stages.training.start import begun
from stages.training.systems import config_of, describe, steps_of, system_of, with_recipe
from stages.training.tracker import trackers_of


def train(context: Context, geometry: Geometry, training: Training, recipe: Recipe) -> None:
    """Write model.safetensors, config.json and losses.jsonl (one line a step); goes on from a checkpoint if
    there is one.

    Raises:
        Failure, KeyboardInterrupt: as `TrainingLoop.run` states.
    """
    assert context.run
    assert context.run_name
    system = with_recipe(system_of(context.run_name, context.run), recipe)
    config = config_of(
        geometry, training, recipe, vocabulary_size(load_tokenizer(context.input("tokenizer")))
    )
    system = begun(system, config, context)
    data = data_of(context.inputs, system, context.run, recipe, geometry, training)
    _say_what_is_left_out(context, data, training)
    schedule = TrainingSchedule(
        recipe.margin_max, recipe.ranking_weight, recipe.ranking_ramp, recipe.gold_until
    )
    steps, seed = steps_of(system, config, training, geometry), context.run.seed
    rate = learning_rate(system.learning_rate or training.learning_rate, steps, training.warmup)
    optimizer = system.optimizer_for(config, rate)
    layout = _layout(system, config, optimizer, geometry, training)
    assert layout.mesh
    rates = np.asarray(rate(jnp.arange(steps)))
    plan = Plan(context.run_name, data, ORDERS[system.carry], schedule, rates, training.batch, seed, layout)
    work = work_of(system.name, config, geometry.sequence_tokens, training.batch, layout.mesh)
    _say_how_devices_are_used(context, layout)
    with (
        Checkpoints(context.scratch / "checkpoints", context.say.note) as checkpoints,
        Interruption() as interruption,
    ):
        fresh = init_train_state(system, config, seed, optimizer, training.batch, layout)
        begin = checkpoints.restore(fresh) or Restored(0, fresh, [])
        if begin.step:
            context.say.note(f"**{context.run_name}** goes on after step {begin.step} of {steps}")
        trackers = trackers_of(context.runtime, plan.name, begin.step, PLACE)
        with TrainingLog(plan.name, begin.step, plan.steps, work, context.say, trackers) as log:
            loop = TrainingLoop(
                plan, begin, Saver(checkpoints, context.runtime.checkpoint_seconds, interruption), log
            )
            state = loop.run()
    target = context.out("model")
    save_parameters(state.parameters, target / "model.safetensors")
    (target / "config.json").write_text(
        json.dumps(describe(system, config, recipe), indent=1, sort_keys=True) + "\n"
    )
    (target / "losses.jsonl").write_text(jsonl(loop.history))


def _say_what_is_left_out(context: Context, data: TrainingData, training: Training) -> None:
    short, tokens = data.left_out
    if short:
        share = f"{short:,} of {short + len(data.keys):,} sequences, {tokens:,} tokens"
        least = f"training.shortest_sequence, {training.shortest_sequence:g}"
        context.say.note(f"**{context.run_name}** leaves out {share}: they are shorter than {least}")


def _layout(
    system: System,
    config: ModelConfig,
    optimizer: optax.GradientTransformation,
    geometry: Geometry,
    training: Training,
) -> Layout:
    strides = geometry.sequence_chunks // geometry.stride_chunks
    memory = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    size = state_bytes(system, config, optimizer)
    return make_layout(training.batch, strides, training.parts, size, memory)


def _say_how_devices_are_used(context: Context, layout: Layout) -> None:
    assert layout.mesh
    devices = jax.device_count()
    if idle := devices - layout.mesh.size:
        context.say.note(
            f"**{context.run_name}** leaves {idle} of {devices} devices idle: they do not divide its work"
            " evenly"
        )
    if layout.split_state:
        context.say.note(
            f"**{context.run_name}** cuts parameters and optimizer state over {layout.mesh.shape['data']}"
            " devices: whole they would fill more than half of each"
        )


STAGE = Job(
    "training",
    train,
    ("geometry", "training", "recipe"),
    {"model": "artifacts/{corpus}/models/{run}"},
    reads=("artifacts/{corpus}/sequences", "artifacts/{corpus}/{input}", "artifacts/{corpus}/tokenizer"),
)
