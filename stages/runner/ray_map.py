"""One task a shard on Ray: the only file that imports it.

A task writes its finished shard into the scratch directory itself; the driver holds names, never rows. A
finished shard is skipped, so a killed run goes on where it stopped and redoes at most what was in flight. In
flight are at most twice as many shards as there are slots, and each reserves SHARD_MEMORY, so that Ray starts
no more of them than a machine has memory for.

Work that loads a model and takes a whole device (`cpus=0`) runs in actors instead, which live from the first
shard to the last: one for every GPU or TPU chip of the cluster, or one for every machine where there is none.
Each pulls its next shard when it has written one.

A worker that is lost (killed, out of memory) costs its shard, which Ray tries again LOST_WORKER_RETRIES
times; an exception is not tried again, because it would come again: the shards that failed are named and the
stage raises. There is no speculative second copy of a slow shard: shards are bounded in size and callers put
the largest first, so the last one to end is a small one.

A deadline stops the work between shards: none is begun after it, those begun are finished and kept.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_contracts.failure import Exit, Failure
from stages.parameters import Runtime
from stages.runner.messages import Messages
from stages.runner.ray_workers import LOST_WORKER_RETRIES, Actors, Tasks, Workers


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
    """End the Ray that this process started or leave the one it joined; nothing if there is none."""
    _environment()  # Ray reads it when it is imported, for good
    import ray

    ray.shutdown()


def _environment() -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    # by default Ray would try for ever
    os.environ.setdefault("RAY_task_oom_retries", str(LOST_WORKER_RETRIES))
    # Ray would hide accelerators that it does not know of from work that asks for none; JAX uses what it
    # finds.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")


def _attach(runtime: Runtime) -> Any:
    """Ray, connected to RAY_ADDRESS or to a private Ray of this process.

    Raises:
        Failure: (exit code 5) if there is no Ray at RAY_ADDRESS.
    """
    _environment()
    import ray

    if not ray.is_initialized():
        if address := os.environ.get("RAY_ADDRESS"):
            try:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, RuntimeError, ValueError) as error:
                remedy = "start it again, or unset RAY_ADDRESS to have a Ray of the run's own"
                raise Failure(
                    f"there is no Ray to join at {address}", str(error)[:500], remedy, Exit.ENVIRONMENT
                ) from error
        else:
            start_ray(runtime)
    return ray


def ray_map(
    task: Callable[..., object],
    shards: Sequence[str],
    scratch: Path,
    arguments: dict,
    runtime: Runtime,
    say: Messages,
    name: str,
    cpus: int = 1,
    own: Mapping[str, dict] | None = None,
    deadline: float = math.inf,
    after_shard: Callable[[], None] = lambda: None,
) -> None:
    """Call `task(shard, scratch, **arguments)`, which writes `scratch / shard`, for every shard that is not
    there yet.

    `task` is a function of a module; `name` is what messages call the work; `cpus` are held by one shard, 0
    means a whole device, in an actor that keeps what the task loads; `own` are arguments of single shards. No
    shard is begun after the `deadline`, in seconds of `time.time()`, which other machines share;
    `after_shard` is called here after each shard that ends.

    Raises:
        Failure: naming the shards that could not be written; those that could are kept for the next try. Exit
            code 6 if the deadline came first.
    """
    _clear(scratch)
    todo = [shard for shard in shards if not (scratch / shard).exists()]
    done = len(shards) - len(todo)
    say.progress(done, len(shards), "shards", f"{done} resumed" if done else "")
    if not todo:
        return
    ray = _attach(runtime)
    workers: Workers = Tasks(ray, cpus) if cpus else Actors(ray)
    running: dict[Any, str] = {}
    failed: dict[str, Exception] = {}
    while todo or running:
        while todo and not failed and time.time() < deadline and len(running) < workers.places:
            shard = todo.pop(0)
            given = {**arguments, **own[shard]} if own else arguments
            running[workers.begin(task, shard, scratch.resolve(), given, deadline)] = shard
        if not running:
            break
        (reference,), _ = ray.wait(list(running), num_returns=1)
        shard = running.pop(reference)
        workers.ended(reference)
        try:
            written = ray.get(reference)
        except Exception as error:
            failed[shard] = error
            continue
        if written:
            done += 1
            say.progress(done, len(shards), "shards")
            after_shard()
    if failed:
        raise _explain(name, failed, done, len(shards))
    _clear(scratch)
    if done < len(shards):
        raise _stopped(name, done, len(shards))


def ray_call(task: Callable[..., Any], arguments: tuple, runtime: Runtime, name: str) -> Callable[[], Any]:
    """Begin one call of `task`, a function of a module, on a CPU of the cluster; what is returned waits for
    its result.

    A worker that is lost costs the call, which Ray tries again as `ray_map` has it.

    Raises:
        Failure: when it is waited for, if the call raised or its workers were lost.
    """
    ray = _attach(runtime)
    reference = ray.remote(num_cpus=1, max_retries=LOST_WORKER_RETRIES)(task).remote(*arguments)

    def wait() -> Any:
        try:
            return ray.get(reference)
        except Exception as error:
            raise _explained(f"{name} could not be made", error) from error

    return wait


def _clear(scratch: Path) -> None:
    """Remove what writers that were killed have left."""
    for leftover in scratch.glob(".part-*"):
        leftover.unlink()


def _explain(work: str, failed: dict[str, Exception], done: int, total: int) -> Failure:
    shard, error = next(iter(failed.items()))
    return _explained(
        f"{work} could not write {', '.join(failed)} ({done} of {total} shards are done and kept)",
        error,
        f"{shard}: ",
    )


def _explained(what: str, error: Exception, where: str = "") -> Failure:
    cause = getattr(error, "cause", None) or error
    if isinstance(cause, Failure):
        return Failure(what, f"{cause.what}: {cause.cause}", cause.remedy, cause.code)
    lost = type(error).__name__ in {
        "WorkerCrashedError",
        "OutOfMemoryError",
        "NodeDiedError",
        "ActorDiedError",
        "ActorUnavailableError",
    }
    remedy = (
        "free memory or lower runtime.workers, then run again"
        if lost
        else "see the traceback above, then run again"
    )
    return Failure(
        what,
        f"{where}{type(cause).__name__}: {cause}".strip()[:2000],
        remedy,
        Exit.INTERRUPTED if lost else Exit.STAGE_FAILED,
    )


def _stopped(work: str, done: int, total: int) -> Failure:
    what = f"{work} stopped at its budget ({done} of {total} shards are done and kept)"
    return Failure(
        what,
        "runtime.budget_hours is used up",
        "run again to go on; raise runtime.budget_hours to go further",
        Exit.BUDGET,
    )
