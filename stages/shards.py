"""Running a shard stage: its function for one shard, and for all shards of an artifact."""

from __future__ import annotations

from pathlib import Path

from data_contracts.contract import Artifact, open_artifact, write_shard
from stages.messages import Messages
from stages.parameters import Runtime
from stages.ray_map import ray_map
from stages.stage import ShardStage, load_stage


def write_one(shard: str, scratch: Path, stage_name: str, inputs: list[Path], arguments: dict) -> None:
    """One shard from verified input to verified output.

    Raises:
        Failure: if an input is corrupt or the stage's output breaks its contract.
    """
    stage = load_stage(stage_name)
    assert isinstance(stage, ShardStage)
    tables = [open_artifact(contract, place).read(shard) for contract, place in zip(stage.reads, inputs, strict=True)]
    write_shard(stage.writes, stage.function(*tables, **arguments), scratch / shard)


def write_all(stage: ShardStage, artifacts: list[Artifact], scratch: Path, arguments: dict, runtime: Runtime, say: Messages) -> None:
    """Every shard of the first of `artifacts`, the largest first.

    Raises:
        Failure: naming the shards that could not be written.
    """
    sizes = {name: shard["bytes"] for name, shard in artifacts[0].shards.items()}
    shards = sorted(sizes, key=lambda name: (-sizes[name], name))
    inputs = [artifact.directory.resolve() for artifact in artifacts]
    call = {"stage_name": stage.name, "inputs": inputs, "arguments": arguments}
    ray_map(write_one, shards, scratch, call, runtime, say, stage.name, stage.cpus)
