"""Every call of a writer fails once, and every write at some size: what was there stays, or what comes is
whole.

A writer is run again and again, and the i-th of its calls below one folder fails, for i = 0, 1, 2 ... until a
run has none that fails. An audit hook sees the calls that Python makes itself; fsync is replaced; a limit of
the size of files makes writes fail, in C libraries too.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.failure import Failure
from data_contracts.tokens import TOKENS
from data_contracts.whole_files import write_atomically

CALLS = {
    "open",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.truncate",
    "os.scandir",
    "os.listdir",
}
CODES = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EMFILE)
SIZES = tuple(int(64 * 1.35**step) for step in range(28))  # bytes, to 210 kB
MOST = 500


class FailingCalls:
    """While it is armed, the `number`-th call on something below `place` fails with `code`; `happened` says
    whether it came so far.
    """

    def __init__(self, place: Path):
        self._place, self._left, self._code, self.happened = str(place), -1, 0, False
        self._fsync = os.fsync
        os.fsync = self._synced  # type: ignore[assignment]
        sys.addaudithook(self._called)

    def close(self) -> None:
        """Give fsync back; the hook stays with the process and does nothing."""
        os.fsync = self._fsync

    @contextmanager
    def armed(self, number: int, code: int) -> Iterator[None]:
        """Fail within this block."""
        self._left, self._code, self.happened = number, code, False
        try:
            yield
        finally:
            self._left = -1

    def _called(self, event: str, arguments: tuple) -> None:
        if self._left >= 0 and event in CALLS and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.fsdecode(arguments[0])
            if path.startswith(self._place):
                self._count(path)

    def _synced(self, descriptor: int) -> None:
        if self._left >= 0:
            self._count(f"fsync of {descriptor}")
        self._fsync(descriptor)

    def _count(self, what: str) -> None:
        if self._left == 0 and not self.happened:
            self.happened = True
            raise OSError(self._code, os.strerror(self._code), what)
        self._left -= 1


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: as on a full disk, a write fails in the middle."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


@dataclass(frozen=True)
class Writer:
    """`begin` lays down what was there, `act` writes, `state` says what can be read: one of `allowed`; after
    another `act` it is `last`.
    """

    begin: Callable[[Path], None]
    act: Callable[[Path], None]
    state: Callable[[Path], str]
    allowed: frozenset[str]
    last: str


def token_shards(version: int) -> list[pa.Table]:
    """Two tables of tokens, other ones of another version."""
    generator = np.random.default_rng(version)
    rows = [[generator.integers(0, 50_000, 200, dtype=np.uint32) for _ in range(20)] for _ in range(2)]
    return [
        TOKENS.table(
            {"doc_id": [f"{part}-{n}" for n in range(20)], "split": ["train"] * 20, "token_ids": rows[part]},
            tokenizer=f"{version}",
        )
        for part in range(2)
    ]


def _write_tokens(scratch: Path, version: int) -> None:
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for number, table in enumerate(token_shards(version)):
        write_shard(TOKENS, table, scratch / f"part-{number:05d}.parquet")
    commit(TOKENS, scratch)


def _publish(place: Path, version: int) -> None:
    from stages.__main__ import publish

    _write_tokens(place / "scratch", version)
    publish(place / "scratch", place / "tokens")


def _published(place: Path) -> str:
    try:
        found = open_artifact(TOKENS, place / "tokens").read_all()
    except Failure:
        return "refused"
    return next(
        (
            name
            for name, version in (("old", 1), ("new", 2))
            if found.equals(pa.concat_tables(token_shards(version)))
        ),
        "a mixture",
    )


def _scored(numbers: range) -> pl.DataFrame:
    count = len(numbers)
    halves = pl.Series([[-1.0 - number, -2.0] for number in numbers], dtype=pl.Array(pl.Float32, 2))
    keys = {
        "query_chunk": pl.Series(range(100, 100 + count), dtype=pl.Int32),
        "candidate_chunk": pl.Series(numbers, dtype=pl.Int32),
    }
    return pl.DataFrame({"doc_id": ["0" * 16] * count, **keys, "halves": halves})


def _ledger(place: Path):  # type: ignore[no-untyped-def]
    from stages.scoring import ledger, ledger_files

    ledger_files.MAX_FILES = 2  # so that it merges too
    return ledger.Ledger(place / "ledger", {"engine": "test", "chunk_tokens": 64})


def small_ledger(place: Path, numbers: range):  # type: ignore[no-untyped-def]
    """A ledger in `place / "ledger"` that merges often, and rows of candidates of these numbers for it."""
    return _ledger(place), _scored(numbers)


def _append(place: Path, begin: int, end: int) -> None:
    for first in range(begin, end, 5):
        _ledger(place).append(_scored(range(first, first + 5)))


def _kept(place: Path) -> str:
    found = set(_ledger(place).read(pl.Series(["0" * 16]))["candidate_chunk"].to_list())
    whole = {len(found & set(range(begin, begin + 5))) for begin in range(0, 30, 5)} <= {0, 5}
    return (
        "a mixture"
        if not whole or not set(range(10)) <= found <= set(range(30))
        else "new"
        if len(found) == 30
        else "old"
    )


def save_checkpoint(place: Path, step: int) -> None:
    """A checkpoint of a small state that tells its step."""
    from stages.training.checkpoints import Checkpoints

    with Checkpoints(place / "checkpoints", lambda said: None) as checkpoints:
        checkpoints.save(
            step,
            {"a": np.full((64, 8), float(step), np.float32)},
            [{"step": number} for number in range(step)],
        )
        checkpoints.wait()


def _restored(place: Path) -> str:
    import jax.numpy as jnp

    from stages.training.checkpoints import Checkpoints

    with Checkpoints(place / "checkpoints", lambda said: None) as checkpoints:
        found = checkpoints.restore({"a": jnp.zeros((64, 8))})
    if (
        found is None
        or not np.array_equal(found.state["a"], np.full((64, 8), float(found.step)))
        or len(found.history) != found.step
    ):
        return "lost" if found is None else "a mixture"
    return {1: "old", 2: "new"}[found.step]


def _settings(place: Path) -> str:
    found = (place / "params.yaml").read_bytes()
    return {b"old" * 1000: "old", b"new" * 1000: "new"}.get(found, "a mixture")


EITHER = frozenset({"old", "new"})
WRITERS = {
    "artifact": Writer(
        lambda place: _publish(place, 1),
        lambda place: _publish(place, 2),
        _published,
        EITHER | {"refused"},
        "new",
    ),
    "ledger": Writer(
        lambda place: _append(place, 0, 10), lambda place: _append(place, 10, 30), _kept, EITHER, "new"
    ),
    "checkpoint": Writer(
        lambda place: save_checkpoint(place, 1),
        lambda place: save_checkpoint(place, 2),
        _restored,
        EITHER,
        "new",
    ),
    "settings": Writer(
        lambda place: write_atomically(place / "params.yaml", b"old" * 1000),
        lambda place: write_atomically(place / "params.yaml", b"new" * 1000),
        _settings,
        EITHER,
        "new",
    ),
}


@dataclass
class Tally:
    """How many failures were tried on one writer, and what was wrong afterwards."""

    calls: int = 0
    writes: int = 0
    faults: list[str] = field(default_factory=list)


def judged(writer: Writer, place: Path, label: str, faults: list[str]) -> None:
    """What can be read after a failure, and after the next try, which must succeed."""
    if (state := writer.state(place)) not in writer.allowed:
        faults.append(f"{label}: {state} is read")
    try:
        writer.act(place)
    except (OSError, Failure) as error:
        faults.append(f"{label}: the next try fails too: {error}")
        return
    if (state := writer.state(place)) != writer.last:
        faults.append(f"{label}: {state} is read after the next try")


def attempt(writer: Writer, place: Path, label: str, faults: list[str]) -> None:
    """Once, with what is armed; only an error that a person can read may come of it."""
    try:
        writer.act(place)
    except (OSError, Failure, pa.ArrowException):
        pass
    except Exception as error:
        faults.append(f"{label}: {type(error).__name__}: {error}"[:300])


def fail_each(name: str, folder: Path) -> Tally:
    """Every call and every size of one writer."""
    writer, tally, place = WRITERS[name], Tally(), folder / name
    failing = FailingCalls(place)

    def begin() -> None:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        writer.begin(place)

    for number in range(MOST):
        begin()
        label = f"{name}, call {number}, {errno.errorcode[CODES[number % len(CODES)]]}"
        with failing.armed(number, CODES[number % len(CODES)]):
            attempt(writer, place, label, tally.faults)
        if not failing.happened:
            break
        tally.calls += 1
        judged(writer, place, label, tally.faults)
    failing.close()
    for size in SIZES:
        begin()
        label = f"{name}, no file over {size} bytes"
        with small_files(size):
            attempt(writer, place, label, tally.faults)
        tally.writes += 1
        judged(writer, place, label, tally.faults)
    return tally
