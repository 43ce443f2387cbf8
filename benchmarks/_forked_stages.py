"""Stages of a tiny corpus in forked children, which cost a fraction of a second each: killed, stopped,
started twice, with `./rpt gc` beside them.

The parent imports what stages need and computes nothing itself, so that a fork is safe. Code, parameters,
scratch directories, ledger and commits are those of `python -m stages`; Ray alone is not there: shards are
written one after the other, with the rules of `ray_map`.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flows import workspace
from flows.cli import keeping
from stages import __main__ as command
from stages.ingestion import ingestion
from stages.parameters import Runtime
from stages.runner import shards as of_shards
from stages.runner.messages import Messages
from stages.runner.stage import ShardStage, load_stage

CORPUS = "demo"
STAGES = ("ingestion", "tokenizer", "tokenization", "chunking", "mining", "packing", "lexical_supervision")
WITH_JAX = ("reference_lm", "scoring", "exhaustive")
PATIENCE = 600.0
KILLS = 8  # at most, of one stage before it may end


class Fault(Exception):
    """What must not happen has happened."""


def one_by_one(
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
    """`ray_map` without Ray: shards that are there stay, what a killed writer has left is removed."""
    for leftover in scratch.glob(".part-*"):
        leftover.unlink()
    for shard in shards:
        if not (scratch / shard).exists():
            task(shard, scratch.resolve(), **arguments, **(own or {}).get(shard, {}))


def run_stage(name: str) -> int:
    """The exit code of `python -m stages NAME demo` in the folder that is current."""
    of_shards.ray_map = ingestion.ray_map = one_by_one
    return command.main([name, CORPUS])


def _here() -> None:
    workspace.STATE = Path.cwd() / ".run"
    keeping.ROOT = Path.cwd()
    from flows.commands import gc

    gc.ROOT = Path.cwd()


def run_locked(name: str) -> int:
    """The same under the lock of the workspace, as `./rpt run` has it."""
    _here()
    try:
        with workspace.workspace_lock("rpt run"):
            return run_stage(name)
    except command.Failure as failure:
        return failure.code


def run_gc() -> int:
    """The exit code of `./rpt gc --yes`."""
    _here()
    try:
        return keeping.gc(yes=True)
    except command.Failure as failure:
        return failure.code


@dataclass
class Child:
    """A forked process in a group of its own."""

    pid: int
    code: int | None = None

    def poll(self) -> int | None:
        """Its exit code, negative for a signal, or None while it runs."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self, seconds: float = PATIENCE) -> int | None:
        """Its exit code, or None if it has none after so many seconds."""
        until = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        return self.code

    def end(self) -> None:
        """Kill it and what it has started.

        Raises:
            Fault: if something of its group is left.
        """
        os.killpg(self.pid, signal.SIGKILL)
        if self.wait(60) is None:
            raise Fault("a killed child does not end")
        for _ in range(500):
            try:
                os.killpg(self.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.01)
        raise Fault("a process of a killed child is left")


@dataclass
class Workspace:
    """A folder with params.yaml, texts and what stages made of them; `seconds` and `expected` are of an
    undisturbed run.
    """

    root: Path
    seconds: dict[str, float] = field(default_factory=dict)
    expected: dict[str, dict[str, str]] = field(default_factory=dict)

    def start(self, work: Callable[[], int]) -> Child:
        """`work` in a forked child, in this folder."""
        if pid := os.fork():
            with contextlib.suppress(OSError):  # the child may have done it, or be gone
                os.setpgid(pid, pid)
            return Child(pid)
        code = 70
        try:
            os.setpgid(0, 0)
            os.chdir(self.root)
            log = os.open("chaos.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            code = work()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)

    def run(self, name: str) -> None:
        """One stage to its end.

        Raises:
            Fault: if it fails.
        """
        if code := self.start(lambda: run_stage(name)).wait():
            raise Fault(f"{name} ends with {code}: {self.last_words()}")

    def places(self, name: str) -> list[Path]:
        """The outputs of a stage."""
        stage = load_stage(name)
        if isinstance(stage, ShardStage):
            return [self.root / "artifacts" / CORPUS / stage.output]
        return [self.root / place.format(corpus=CORPUS) for place in stage.outputs.values()]

    def digests(self, name: str) -> dict[str, str]:
        """SHA-256 of every file of a stage's outputs."""
        files = [path for place in self.places(name) for path in place.rglob("*") if path.is_file()]
        return {
            str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
        }

    def clean(self, name: str) -> None:
        """As if the stage had never run."""
        for place in [*self.places(name), self.root / ".work"]:
            shutil.rmtree(place, ignore_errors=True)
        if name in WITH_JAX:
            shutil.rmtree(self.root / "ledger", ignore_errors=True)

    def kept(self, name: str) -> dict[str, tuple[int, int]]:
        """Whole shards in the scratch directories of a stage: name -> (inode, time)."""
        found = (self.root / ".work" / name).rglob("part-*.parquet")
        states = {str(path.relative_to(self.root)): path.stat() for path in found}
        return {place: (state.st_ino, state.st_mtime_ns) for place, state in states.items()}

    def last_words(self) -> str:
        """The end of what children printed."""
        return (self.root / "chaos.log").read_text(errors="replace")[-1200:]

    def check_end(self, name: str) -> None:
        """Raises Fault unless the outputs are those of an undisturbed run and nothing else is left."""
        found, expected = self.digests(name), self.expected[name]
        if wrong := sorted(place for place in {*found, *expected} if found.get(place) != expected.get(place)):
            raise Fault(f"{name}: {', '.join(wrong[:3])} are not those of an undisturbed run")
        tops = (self.root / "artifacts", self.root / "ledger")
        left = [
            path for top in tops for path in top.rglob("*") if ".tmp" in path.name or "arriving" in path.name
        ]
        left += [path for path in (self.root / ".work").rglob("*") if path.is_file()]
        if left:
            raise Fault(f"{name} leaves {left[0].relative_to(self.root)}")


def kill(place: Workspace, name: str, generator: np.random.Generator) -> dict[str, Any]:
    """A stage is killed at random moments and begun again, KILLS times at most; then it ends."""
    place.clean(name)
    kills, published, kept = 0, 0, dict[str, tuple[int, int]]()
    child = place.start(lambda: run_stage(name))
    while child.wait(float(generator.uniform(0, 1.05 * place.seconds[name]))) is None and kills < KILLS:
        child.end()
        kills += 1
        if any(target.exists() for target in place.places(name)):
            published += 1
            kept = {}
        now = place.kept(name)
        if lost := [shard for shard in kept if now.get(shard) != kept[shard]]:
            raise Fault(f"{name}: {lost[0]} was there at one kill and was written again at the next")
        kept = now
        child = place.start(lambda: run_stage(name))
    if code := child.wait():
        raise Fault(f"{name} ends with {code} after {kills} kills: {place.last_words()}")
    place.check_end(name)
    written = {
        (path.stat().st_ino, path.stat().st_mtime_ns)
        for top in place.places(name)
        for path in top.rglob("part-*")
    }
    if kills and name != "ingestion" and (again := [shard for shard in kept if kept[shard] not in written]):
        raise Fault(f"{name}: {again[0]} was whole and was written again")
    return {"kills": kills, "kills_after_publishing": published}


def two_together(place: Workspace, name: str, generator: np.random.Generator) -> dict[str, Any]:
    """Two begin at once: one does the work, the other is refused with exit code 7."""
    place.clean(name)
    first = place.start(lambda: run_locked(name))
    time.sleep(float(generator.uniform(0, 0.05)))
    codes = sorted((place.start(lambda: run_locked(name)).wait() or 0, first.wait() or 0))
    if codes != [0, 7]:
        raise Fault(f"two of {name} together end with {codes}: {place.last_words()}")
    place.check_end(name)
    return {"twice": 1}


def zombie(place: Workspace, name: str, generator: np.random.Generator) -> dict[str, Any]:
    """One is stopped, another is refused meanwhile, the first goes on."""
    place.clean(name)
    first = place.start(lambda: run_locked(name))
    first.wait(float(generator.uniform(0.05, 0.9)) * place.seconds[name])
    os.kill(first.pid, signal.SIGSTOP)
    there = bool(place.digests(name))
    other = place.start(lambda: run_locked(name)).wait()
    os.kill(first.pid, signal.SIGCONT)
    if first.wait() or (other != 7 and not there):
        raise Fault(f"beside a stopped {name} another ends with {other}, the stopped one with {first.code}")
    place.check_end(name)
    return {"stopped": 1}


def gc_beside(place: Workspace, name: str, generator: np.random.Generator) -> dict[str, Any]:
    """`./rpt gc --yes` while a stage works and after it was killed; no finished shard may go."""
    place.clean(name)
    child = place.start(lambda: run_locked(name))
    child.wait(float(generator.uniform(0.1, 1.0)) * place.seconds[name])
    beside = place.start(run_gc).wait()
    running = child.poll() is None
    if running:
        child.end()
    kept = place.kept(name)
    after = place.start(run_gc).wait()
    if beside not in (0, 7) or after:
        raise Fault(f"gc beside {name} ends with {beside}, after it with {after}: {place.last_words()}")
    if place.kept(name) != kept:
        raise Fault(f"gc removed shards that {name} goes on with")
    if code := place.start(lambda: run_locked(name)).wait():
        raise Fault(f"{name} ends with {code} after gc: {place.last_words()}")
    place.check_end(name)
    return {"gc": 2}


TRIALS = {"kill": kill, "two_together": two_together, "zombie": zombie, "gc_beside": gc_beside}
COUNTED = {"kill": "kills", "two_together": "twice", "zombie": "stopped", "gc_beside": "gc"}
