"""Running a shard stage: its function for one shard, and for all shards of an artifact."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable
from pathlib import Path

from data_contracts.contract import Artifact, open_artifact, write_shard
from stages.parameters import Runtime
from stages.runner.messages import Messages
from stages.runner.ray_map import ray_map
from stages.runner.stage import ShardStage, load_stage

MONITOR_SECONDS = 30.0
MONITOR_NOTES = 20  # at most in one run, beside the last


def write_one(shard: str, scratch: Path, stage_name: str, inputs: list[Path], arguments: dict) -> None:
    """One shard from verified input to verified output.

    Raises:
        Failure: if an input is corrupt or the stage's output breaks its contract.
    """
    stage = load_stage(stage_name)
    assert isinstance(stage, ShardStage)
    tables = [
        open_artifact(contract, place).read(shard)
        for contract, place in zip(stage.reads, inputs, strict=True)
    ]
    write_shard(stage.writes, stage.function(*tables, **arguments), scratch / shard)


def write_all(
    stage: ShardStage,
    artifacts: list[Artifact],
    scratch: Path,
    arguments: dict,
    runtime: Runtime,
    say: Messages,
) -> None:
    """Every shard of the first of `artifacts`, the largest first; the stage's monitor says how it goes.

    Raises:
        Failure: naming the shards that could not be written; with exit code 6 if a budgeted stage has used up
            `runtime.budget_hours`.
    """
    sizes = {name: shard["bytes"] for name, shard in artifacts[0].shards.items()}
    shards = sorted(sizes, key=lambda name: (-sizes[name], name))
    inputs = [artifact.directory.resolve() for artifact in artifacts]
    call = {"stage_name": stage.name, "inputs": inputs, "arguments": arguments}
    limited = stage.budgeted and runtime.budget_hours is not None
    deadline = time.time() + 3600 * (runtime.budget_hours or 0.0) if limited else math.inf
    monitor = Monitor(stage, [scratch / shard for shard in shards], arguments, say.note)
    ray_map(
        write_one,
        shards,
        scratch,
        call,
        runtime,
        say,
        stage.name,
        stage.cpus,
        deadline=deadline,
        after_shard=monitor.glance,
    )
    monitor.look()


class Monitor:
    """Shows a stage's monitor the finished shards now and then, and passes on what it says. Does nothing for
    a stage without one.
    """

    def __init__(self, stage: ShardStage, shards: list[Path], arguments: dict, note: Callable[[str], None]):
        self._watch = importlib.import_module(stage.monitor).watch if stage.monitor else None
        self._shards, self._arguments, self._note = shards, arguments, note
        self._looked, self._seen = -math.inf, 0

    def glance(self) -> None:
        """Look if the last look is `MONITOR_SECONDS` and a twentieth of the shards ago, and there will be
        more to see.
        """
        if self._watch is None or time.monotonic() - self._looked < MONITOR_SECONDS:
            return
        finished = sum(shard.exists() for shard in self._shards)
        if self._seen + len(self._shards) / MONITOR_NOTES <= finished < len(self._shards):
            self.look()

    def look(self) -> None:
        """Let the monitor read the finished shards."""
        finished = [shard for shard in self._shards if shard.exists()]
        self._looked, self._seen = time.monotonic(), len(finished)
        if self._watch and (said := self._watch(finished, **self._arguments)):
            self._note(said)
