"""What decides the result of a stage: what its code means, what it reads and its parameters. Equal
identities, equal bytes.

Half-finished work goes on only under its own identity, and by comparing two one can say what has changed in
between.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from data_contracts.contract import open_artifact
from stages.identity.code_files import code_of
from stages.identity.code_identity import CHECKOUT, Code
from stages.identity.digest import path_digest
from stages.parameters import Configuration, Run
from stages.runner.stage import RUN_STAGES, Job, ShardStage

ARTIFACTS = Path("artifacts")

Identity = dict[str, dict[str, Any]]
"""`code`, `inputs` and `parameters`, each name -> digest or value."""


def run_of(stage: ShardStage | Job, item: str, configuration: Configuration) -> Run | None:
    """The run that `item` names, for a stage that works on runs."""
    return configuration.runs[item] if stage.name in RUN_STAGES else None


def sections_of(stage: ShardStage | Job, configuration: Configuration, run: Run | None) -> dict:
    """The parameter sections a stage names, as keyword arguments; `recipe` is the one of the run's system."""
    return {
        name: configuration.recipes[run.system] if name == "recipe" and run else getattr(configuration, name)
        for name in stage.sections
    }


def identity_of(stage: ShardStage | Job, item: str, configuration: Configuration) -> Identity:
    """The identity of the work of `stage` for a corpus or run.

    Raises:
        Failure: if something that it reads is missing or corrupt.
    """
    run = run_of(stage, item, configuration)
    code = Code(CHECKOUT)
    files = code_of(code, stage.name, run.system if run else None)
    code.remember()
    sections = sections_of(stage, configuration, run)
    if isinstance(stage, ShardStage):
        inputs, parameters = _shard_inputs(stage, ARTIFACTS / item), sections
    else:
        corpus = run.corpus if run else item
        places = [place.format(corpus=corpus, run=item, input=run and run.input) for place in stage.reads]
        inputs = {place: path_digest(Path(place)) for place in places}
        parameters = {"corpus": configuration.corpora[corpus], "run": run, **sections}
    return {"code": files, "inputs": inputs, "parameters": to_jsonable_python(parameters)}


def _shard_inputs(stage: ShardStage, home: Path) -> dict[str, Any]:
    read = {contract.name: open_artifact(contract, home / contract.name).digest for contract in stage.reads}
    return {
        **read,
        **{name: path_digest(home / name) for name in stage.sides},
        "version of what is written": stage.writes.version,
    }


def differences(before: Identity, now: Identity) -> dict[str, list[str]]:
    """code, inputs and parameters -> the names that are not the same in both, those of sections as
    `training.steps`.
    """
    found = {}
    for part in now:
        one, two = dict(_flat(before.get(part, {}))), dict(_flat(now[part]))
        if names := sorted(
            name for name in {*one, *two} if name not in one or name not in two or one[name] != two[name]
        ):
            found[part] = names
    return found


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
