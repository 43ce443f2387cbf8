"""Who writes shards on a Ray cluster: tasks that take CPUs, or actors that take a whole accelerator or
machine and stay.

Nothing here imports Ray; it is given.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

LOST_WORKER_RETRIES = 3
SHARD_MEMORY = 3 * 2**29


class Workers(Protocol):
    """Places for shards; `places` is how many may be in flight."""

    places: int

    def begin(
        self, task: Callable[..., object], shard: str, scratch: Path, arguments: dict, deadline: float
    ) -> Any:
        """Start a shard, for which there must be a place, and return Ray's reference to whether it was
        written.
        """
        ...

    def ended(self, reference: Any) -> None:
        """Make the place of a shard that ended free again."""
        ...


def _write(
    task: Callable[..., object], shard: str, scratch: Path, arguments: dict, cpus: int, deadline: float
) -> bool:
    """Whether the shard was written: one that waited for room until the deadline is not begun."""
    if time.time() >= deadline:
        return False
    # The tokenizers library would otherwise start a thread for every core in every worker.
    os.environ["RAYON_NUM_THREADS"] = str(cpus)
    task(shard, scratch, **arguments)
    return True


class _Worker:
    """What an actor is: `_write` in a process that stays, with the models that tasks keep in it."""

    def write(self, *call: Any) -> bool:
        return _write(*call)


class Tasks:
    """Shards as tasks of `cpus` CPUs; Ray finds the room for each."""

    def __init__(self, ray: Any, cpus: int):
        slots, self._cpus, memory = _room(ray.nodes(), cpus)
        self.places = max(2, 2 * slots // self._cpus)
        self._remote = ray.remote(num_cpus=self._cpus, memory=memory, max_retries=LOST_WORKER_RETRIES)(_write)

    def begin(
        self, task: Callable[..., object], shard: str, scratch: Path, arguments: dict, deadline: float
    ) -> Any:
        """See `Workers.begin`."""
        return self._remote.remote(task, shard, scratch, arguments, self._cpus, deadline)

    def ended(self, reference: Any) -> None:
        """See `Workers.ended`; Ray itself frees what a task held."""


class Actors:
    """Shards as calls of actors, one for each accelerator or else for each machine, one call at a time."""

    def __init__(self, ray: Any):
        wants = _devices(ray.nodes())
        # An actor is started again as often as it is lost, but no shard is tried more than so many times.
        worker = ray.remote(max_restarts=-1, max_task_retries=LOST_WORKER_RETRIES)(_Worker)
        near = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        self._free = [
            (
                worker.options(scheduling_strategy=near(node, soft=True), **want).remote(),
                int(want["num_cpus"]),
            )
            for node, want in wants
        ]
        self._busy: dict[Any, tuple[Any, int]] = {}
        self.places = len(self._free)

    def begin(
        self, task: Callable[..., object], shard: str, scratch: Path, arguments: dict, deadline: float
    ) -> Any:
        """See `Workers.begin`."""
        actor, cpus = self._free.pop(0)
        reference = actor.write.remote(task, shard, scratch, arguments, cpus, deadline)
        self._busy[reference] = actor, cpus
        return reference

    def ended(self, reference: Any) -> None:
        """See `Workers.ended`."""
        self._free.append(self._busy.pop(reference))


def _room(nodes: list[dict], cpus: int) -> tuple[int, int, int]:
    """(CPUs of all nodes, CPUs of a shard, its memory in bytes): a shard runs on one node and may ask for no
    more than that has.
    """
    known = [node["Resources"] for node in nodes if node["Alive"]]
    slots, largest = (max(1, int(measure(node.get("CPU", 0) for node in known))) for measure in (sum, max))
    cpus = min(cpus, largest)
    memory = max(
        (int(node.get("memory", 0)) for node in known if node.get("CPU", 0) >= cpus), default=SHARD_MEMORY
    )
    return slots, cpus, min(SHARD_MEMORY, memory)


def _devices(nodes: list[dict]) -> list[tuple[str, dict]]:
    """(node, what to reserve there) for the actor of each accelerator of the cluster, or of each machine if
    there is none.
    """
    known = [
        (node["NodeID"], node["Resources"])
        for node in nodes
        if node["Alive"] and node["Resources"].get("CPU", 0) >= 1
    ]
    for kind in ("GPU", "TPU"):
        one = {"num_gpus": 1} if kind == "GPU" else {"resources": {kind: 1}}
        found = [
            (node, {**_share(room, int(room[kind])), **one})
            for node, room in known
            for _ in range(int(room.get(kind, 0)))
        ]
        if found:
            return found
    return [(node, _share(room, 1)) for node, room in known]


def _share(room: dict, count: int) -> dict:
    """CPUs and memory of one of `count` actors on a node that has `room`."""
    return {
        "num_cpus": int(room["CPU"]) // count,
        "memory": min(SHARD_MEMORY, int(room.get("memory", SHARD_MEMORY * count)) // count),
    }
