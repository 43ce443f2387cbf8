"""Shards in, shards out on Ray: the only file that imports it.

A worker reads its shards through the contracts, calls the stage's pure function and writes one finished shard into the scratch
directory; the driver holds names and counts, never rows. A finished shard is skipped, so a killed run goes on where it stopped.
Work in flight is bounded at twice the slots. A lost worker is retried by Ray three times; an exception in the stage's code is not
retried, because it would come again: the shards that failed are named and the stage raises.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from data_contracts.contract import open_artifact, write_shard
from data_contracts.failure import Exit, Failure
from stages.messages import Messages
from stages.parameters import Runtime
from stages.stage import ShardStage, load_stage

LOST_WORKER_RETRIES = 3


def start_ray(runtime: Runtime) -> str:
    """Start a private Ray in this process and return its address; it ends with the process."""
    _environment()
    import ray

    ray.init(
        address="local",
        num_cpus=runtime.workers or os.cpu_count(),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=runtime.object_store_mb * 2**20,
    )
    return ray.get_runtime_context().gcs_address


def stop_ray() -> None:
    """End the Ray that this process started or leave the one it joined."""
    import ray

    ray.shutdown()


def _environment() -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    # Ray would hide the GPUs from a task that asks for none; scoring takes the whole machine and lets JAX use what it finds.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


def _attach(runtime: Runtime) -> Any:
    """Ray, connected to RAY_ADDRESS or to a private Ray of this process."""
    _environment()
    import ray

    if not ray.is_initialized():
        if address := os.environ.get("RAY_ADDRESS"):
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        else:
            start_ray(runtime)
    return ray


def run_shard(stage_name: str, shard: str, inputs: list[str], scratch: str, arguments: dict) -> int:
    """What a worker does: one shard from verified input to verified output. Returns its number of rows."""
    stage = load_stage(stage_name)
    assert isinstance(stage, ShardStage)
    tables = [open_artifact(contract, Path(place)).read(shard) for contract, place in zip(stage.reads, inputs, strict=True)]
    table = stage.function(*tables, **arguments)
    write_shard(stage.writes, table, Path(scratch) / shard)
    return table.num_rows


def ray_map(
    stage: ShardStage, shards: list[str], inputs: list[Path], scratch: Path, arguments: dict, runtime: Runtime, say: Messages
) -> None:
    """Complete every shard of `stage` in `scratch`, or raise.

    Raises:
        Failure: naming the shards that could not be written; those that could are kept for the next try.
    """
    for leftover in scratch.glob(".part-*"):
        leftover.unlink()
    todo = [shard for shard in shards if not (scratch / shard).exists()]
    done = len(shards) - len(todo)
    say.progress(done, len(shards), "shards", f"{done} resumed" if done else "")
    if not todo:
        return
    ray = _attach(runtime)
    slots = max(1, int(ray.cluster_resources().get("CPU", 1)))
    cpus = stage.cpus or slots
    task = ray.remote(num_cpus=cpus, max_retries=LOST_WORKER_RETRIES)(run_shard)
    places = [str(place.resolve()) for place in inputs]
    running: dict[Any, str] = {}
    failed: dict[str, Exception] = {}
    while todo or running:
        while todo and not failed and len(running) < max(2, 2 * slots // cpus):
            shard = todo.pop(0)
            running[task.remote(stage.name, shard, places, str(scratch.resolve()), arguments)] = shard
        if not running:
            break
        (reference,), _ = ray.wait(list(running), num_returns=1)
        shard = running.pop(reference)
        try:
            ray.get(reference)
            done += 1
            say.progress(done, len(shards), "shards")
        except Exception as error:
            failed[shard] = error
    if failed:
        raise _explain(stage, failed, done, len(shards))


def _explain(stage: ShardStage, failed: dict[str, Exception], done: int, total: int) -> Failure:
    name, error = next(iter(failed.items()))
    cause = getattr(error, "cause", None) or error
    what = f"{stage.name} could not write {', '.join(failed)} ({done} of {total} shards are done and kept)"
    if isinstance(cause, Failure):
        return Failure(what, f"{cause.what}: {cause.cause}", cause.remedy, cause.code)
    lost = type(error).__name__ in {"WorkerCrashedError", "OutOfMemoryError", "NodeDiedError"}
    remedy = "free memory or lower runtime.workers, then run again" if lost else "see the traceback above, then run again"
    return Failure(what, f"{name}: {type(cause).__name__}: {cause}".strip()[:2000], remedy, Exit.INTERRUPTED if lost else Exit.STAGE_FAILED)
