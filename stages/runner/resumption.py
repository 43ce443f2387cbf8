"""What an interrupted job left: shards that need not be written again, and on what they were computed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from data_contracts.whole_files import write_atomically

COMPUTED_ON = "computed_on.txt"


def finished_shards(target: Path) -> set[str]:
    """Names of the whole shards in a directory that is not committed yet; what a writer that was killed had
    begun is removed.
    """
    for unfinished in target.glob(".part-*"):
        unfinished.unlink()
    return {path.name for path in target.glob("part-*.parquet")}


def note_devices(target: Path, say: Callable[[str], None]) -> None:
    """Keep beside `target` on what its shards are computed, and say so where those that are there were
    computed on something else.
    """
    record, now = target.with_name(COMPUTED_ON), computed_on()
    before = set(record.read_text().splitlines()) if finished_shards(target) and record.exists() else set()
    if others := sorted(before - {now}):
        say(
            f"shards that are there were computed on {', '.join(others)}, the rest are on {now}: last bits"
            " may differ"
        )
    write_atomically(record, "\n".join(sorted(before | {now})).encode())


def computed_on() -> str:
    """The number and kind of JAX's devices and, where it is the processor, the cores that this process may
    use.

    On others the same steps give other last bits, because XLA cuts sums into as many parts as there are
    cores.
    """
    import jax

    devices = jax.devices()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{len(devices)} {devices[0].device_kind}" + (
        f" of {cores} cores" if devices[0].platform == "cpu" else ""
    )
