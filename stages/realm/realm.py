"""REALM of a corpus, trained with an index that Ray builds anew while training goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import numpy as np

from model.baselines.realm import Realm, RealmConfig
from model.parameters import Architecture
from model.parameters_io import load_parameters, save_parameters
from stages.parameters import Geometry, RealmTraining
from stages.realm.batches import Data
from stages.realm.building import Build, on_ray
from stages.realm.corpus import CONFIG, read_corpus, read_sizes
from stages.realm.phases import run_phase
from stages.realm.refresh import Refresh, make_probe
from stages.realm.training import Architectures, Plan, fresh, train
from stages.runner.stage import Context, Job
from stages.training.checkpoints import Restored, jsonl

RECENT = 50  # updates whose mean utility is said at the end


def make_realm(context: Context, geometry: Geometry, realm: RealmTraining) -> None:
    """Write model.safetensors, config.json and losses.jsonl.

    Raises:
        Failure: as `read_corpus` states, or if the index could not be built.
    """
    train_realm(context, geometry, realm, lambda config, rows: on_ray(config, rows, context.runtime))


def train_realm(
    context: Context, geometry: Geometry, realm: RealmTraining, builder: Callable[[RealmConfig, Path], Build]
) -> None:
    """`make_realm` with an index that is built by what `builder` makes of the sizes and of a file with the
    rows of the passages.
    """
    config, sizes = read_sizes(context.input("realm_start"))
    corpus = read_corpus(context.inputs, geometry, sizes)
    data = Data(corpus.questions.train, corpus.passages, corpus.layout)
    parameters = load_parameters(
        context.input("realm_start") / "model.safetensors",
        "REALM's start",
        Architecture.of(Realm, config).parameter_sizes(),
    )
    rows = context.scratch / "passages.npy"
    np.save(rows, data.passages.rows_XT)
    plan = Plan(
        realm.steps,
        min(realm.batch, len(data.questions.answers)),
        realm.learning_rate,
        sizes.candidates,
        realm.seed,
    )
    refresh = Refresh(
        realm.refresh, realm.refresh_every, realm.recall_bound, realm.probe_every, realm.hand_over
    )
    probe = make_probe(corpus.questions.held_out.rows_QT, data.passages.rows_XT, realm.seed)
    build = builder(config, rows)

    def phase(begin: Restored, after: Callable[[Restored], None]) -> Restored:
        return train(Architectures.of(config), begin, data, plan, refresh, probe, build, after)

    def said(row: dict) -> str:
        return (
            f"loss {row['loss']:.3f}, utility {row['utility']:+.3f}, index {row['version']} of update"
            f" {row['built_from']}"
        )

    trained = run_phase(context, "updates", plan.steps, fresh(parameters, plan), phase, said)
    target = context.out("realm")
    save_parameters(trained.state.parameters, target / "model.safetensors")
    shutil.copyfile(context.input("realm_start") / CONFIG, target / CONFIG)
    (target / "losses.jsonl").write_text(jsonl(trained.history))
    _say(context, trained.history)


def _say(context: Context, history: list[dict]) -> None:
    """What came out, in a sentence."""
    recalls = [row["recall"] for row in history if "recall" in row]
    lowest = (
        f", the probe's recall was {min(recalls):.0%} at least and {fmean(recalls):.0%} in the mean"
        if recalls
        else ""
    )
    context.say.note(
        f"**{context.corpus}**: REALM trained for {len(history):,} updates; utility over the last {RECENT}"
        f" {fmean(row['utility'] for row in history[-RECENT:]):+.3f} nats a token;"
        f" {history[-1]['version'] - 1} refreshes of the index{lowest};"
        f" {sum(row['trivial'] for row in history):,} trivial candidates were left out"
    )


STAGE = Job(
    "realm",
    make_realm,
    ("geometry", "realm"),
    {"realm": "artifacts/{corpus}/realm"},
    reads=("artifacts/{corpus}/tokenizer", "artifacts/{corpus}/chunks", "artifacts/{corpus}/realm_start"),
)
