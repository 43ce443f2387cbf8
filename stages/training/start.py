"""Runs that begin with a trained one (RETRO-fit): what they depend on, and what they begin as.

`starts` of params.yaml names the trained runs, and this stage writes for each which model, passages and
tokenizer there are. A run that begins with it names that artifact as its `input`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.failure import Exit, Failure
from data_contracts.passages import CORPUS_NEIGHBOURS
from data_contracts.starts import STARTS
from data_contracts.systems import RECORDS
from model.config import ModelConfig
from model.parameters import Architecture, Parameters, parameters_of
from model.system import System
from model.taken_over import taken_over
from stages.identity.digest import path_digest
from stages.runner.stage import Context, Job
from stages.training.systems import described_config, load_trained

MODELS = "models"
SHAPE = ("vocabulary_size", "width", "layers", "heads", "chunk_tokens", "stride_chunks", "copying")


def write_start(context: Context) -> None:
    """Write what a run depends on that begins with this one.

    Raises:
        Failure: (exit code 3) if one of these places does not exist.
    """
    places = sorted((f"{MODELS}/{context.run_name}", CORPUS_NEIGHBOURS.name, "tokenizer"))
    for place in places:
        if not context.input(place).exists():  # its digest would be that of an empty directory
            what, cause = (
                f"no run can begin with {context.run_name}",
                f"{context.input(place)} does not exist",
            )
            raise Failure(what, cause, f"./rpt run training@{context.run_name}", Exit.CONTRACT)
    digests = [path_digest(context.input(place)) for place in places]
    target = context.out(STARTS.name)
    write_shard(STARTS, STARTS.table({"place": places, "digest": digests}), target / "part-00000.parquet")
    commit(STARTS, target)


def begun(system: System, config: ModelConfig, context: Context) -> System:
    """The system, whose first values are those of a trained model where its run begins with one.

    Raises:
        Failure: (exit code 3) if what the start names is not as it was, or the model is of another system or
            shape.
    """
    if context.start is None:
        return system
    place = context.inputs / MODELS / context.start
    _check_pins(context.inputs / STARTS.name / context.start, context.inputs)
    described = json.loads((place / "config.json").read_text())
    _check_shape(place, described, system.name, config)
    trained = taken_over(parameters_of(load_trained(place, described)), described_config(described), config)

    def first_values(architecture: Architecture, config: ModelConfig, seed: int) -> Parameters:
        return {**system.first_values(architecture, config, seed), **trained}

    return replace(system, first_values=first_values)


def _check_pins(start: Path, home: Path) -> None:
    for row in open_artifact(STARTS, start).read_all().to_pylist():
        if not (home / row["place"]).exists() or path_digest(home / row["place"]) != row["digest"]:
            cause = f"{home / row['place']} is missing, or other than when {start} was written"
            raise Failure(
                "what this run begins with has changed", cause, f"./rpt run start@{start.name}", Exit.CONTRACT
            )


def _check_shape(place: Path, described: dict, name: str, config: ModelConfig) -> None:
    found, wanted = described["system"], RECORDS[name].begins_with
    what, remedy = f"{name} cannot begin with {place}", "train both with the same `training` and `geometry`"
    if found != wanted:
        cause, remedy = f"that is {found}, it begins with {wanted}", "name another run in `input`"
        raise Failure(what, cause, remedy, Exit.CONTRACT)
    trained = described_config(described)
    wrong = [
        f"{field} is {getattr(trained, field)} there, {getattr(config, field)} here"
        for field in SHAPE
        if getattr(trained, field) != getattr(config, field)
    ]
    if wrong:
        raise Failure(what, "; ".join(wrong), remedy, Exit.CONTRACT)


STAGE = Job("start", write_start, (), {STARTS.name: "artifacts/{corpus}/starts/{run}"})
