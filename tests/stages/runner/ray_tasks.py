"""What test_ray_map.py has Ray's workers do; they import this file by its name. Every task says in a journal
when it begins and ends.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from data_contracts.contract import write_shard
from data_contracts.tokens import TOKENS
from stages.parameters import Runtime
from stages.runner.messages import Messages
from stages.runner.ray_map import ray_map


def note(journal: Path, event: str, shard: str = "") -> None:
    """Append one line; short appends of several processes do not mix."""
    with open(journal, "a", encoding="utf-8") as file:
        file.write(f"{event} {shard} {os.getpid()}\n")


def notes(journal: Path) -> list[tuple[str, str, int]]:
    """(event, shard, process) of every line so far."""
    lines = (
        [line.split(" ") for line in journal.read_text(encoding="utf-8").splitlines()]
        if journal.exists()
        else []
    )
    return [(event, shard, int(process)) for event, shard, process in lines]


def attempts(journal: Path, shard: str) -> int:
    return [(event, name) for event, name, _ in notes(journal)].count(("begin", shard))


def block(shard: str, number: int) -> pa.Table:
    ids = np.arange(100, dtype=np.uint32) + number
    return TOKENS.table(
        {"doc_id": [f"{shard}-{number}"], "split": ["train"], "token_ids": [ids]}, tokenizer="x"
    )


def write(shard: str, scratch: Path, journal: Path, seconds: float = 0.0) -> None:
    note(journal, "begin", shard)
    time.sleep(seconds)
    write_shard(TOKENS, (block(shard, number) for number in range(3)), scratch / shard)
    note(journal, "end", shard)


class Poison:
    """A value that nobody can unpickle."""

    def __reduce__(self) -> tuple:
        return sys.exit, ("a task's result was fetched",)


def write_and_return(shard: str, scratch: Path, journal: Path) -> Poison:
    write(shard, scratch, journal)
    return Poison()


def write_and_stall_once(shard: str, scratch: Path, journal: Path, victim: str) -> None:
    """The first attempt at `victim` stays in the middle of its file until somebody kills it."""
    note(journal, "begin", shard)
    stalls = shard == victim and attempts(journal, shard) == 1

    def blocks() -> Iterator[pa.Table]:
        for number in range(3):
            yield block(shard, number)
            if stalls and number == 1:
                note(journal, "stalled", shard)
                time.sleep(120)

    write_shard(TOKENS, blocks(), scratch / shard)
    note(journal, "end", shard)


def write_or_die(shard: str, scratch: Path, journal: Path, victim: str) -> None:
    note(journal, "begin", shard)
    if shard == victim:
        os.kill(os.getpid(), signal.SIGKILL)
    write_shard(TOKENS, block(shard, 0), scratch / shard)


def write_or_die_once(shard: str, scratch: Path, journal: Path, victim: str) -> None:
    note(journal, "begin", shard)
    if shard == victim and attempts(journal, shard) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    write_shard(TOKENS, block(shard, 0), scratch / shard)


def double_or_die_once(number: int, journal: Path) -> int:
    """Twice the number; the first attempt kills its worker."""
    first = not attempts(journal, "call")
    note(journal, "begin", "call")
    if first:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def refuse(number: int) -> None:
    """Raises."""
    raise ValueError(f"{number} is refused")


def write_on_gpu(shard: str, scratch: Path, journal: Path, others: int) -> None:
    """Says which GPUs this process may use instead of when it begins; waits for so many other shards."""
    note(journal, f"gpu-{os.environ['CUDA_VISIBLE_DEVICES']}", shard)
    end = time.monotonic() + 60
    while len(list(scratch.glob("part-*"))) < others and time.monotonic() < end:
        time.sleep(0.02)
    write_shard(TOKENS, block(shard, 0), scratch / shard)


class Sent:
    """An argument that says in the journal when it is sent to a task, which is when the task is submitted."""

    def __init__(self, journal: Path) -> None:
        self.journal = journal

    def __reduce__(self) -> tuple:
        note(self.journal, "submit")
        return Sent, (self.journal,)


def write_what_was_sent(shard: str, scratch: Path, sent: Sent) -> None:
    write(shard, scratch, sent.journal, 0.1)


def drive(scratch: Path, journal: Path, shards: list[str]) -> None:
    """A driver of its own for slow shards."""
    ray_map(
        write, shards, scratch, {"journal": journal, "seconds": 0.4}, Runtime(workers=2), Messages(), "a test"
    )
