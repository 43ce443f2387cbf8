"""What is done to running pipelines and to what they left: each trial ends with the artifacts of an
undisturbed run or finds a fault.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks._copy import environment

MADE = ("artifacts", "ledger", "metrics", "sources", ".work", ".run", ".dvc/cache", ".dvc/tmp", "dvc.lock")
KILLS, PATIENCE = 8, 900.0
AGENTS = ("ray::Dashboard", "ray::RuntimeEnv")  # of Ray, without which a node ends
DIED = (1, 3, 5, 75)  # how a run may end, in words, of which a process was killed


@dataclass
class Project:
    """A copy of the checkout in which the pipeline runs, joined to one Ray that stays."""

    root: Path
    ray: dict[str, str]
    ray_process: int = 0
    target: tuple[str, ...] = ("run", "mining")
    seconds: float = 0.0
    expected: dict[str, str] | None = None

    def ray_family(self) -> list[psutil.Process]:
        """The Ray of all trials and what it has started."""
        if not self.ray_process:
            return []
        driver = psutil.Process(self.ray_process)
        return [driver, *driver.children(recursive=True)]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """`./rpt ARGUMENTS` in a process group of its own."""
        command = [sys.executable, "-m", "flows.cli", *arguments]
        log = open(self.root / ".chaos.log", "a", encoding="utf-8")  # noqa: SIM115 - the child holds it
        with log:
            return subprocess.Popen(
                command,
                cwd=self.root,
                env=environment(self.root) | self.ray,
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def run(self, *arguments: str) -> int:
        """The exit code of `./rpt ARGUMENTS`."""
        return self.start(*arguments).wait(PATIENCE)

    def clean(self) -> None:
        """As if nothing had run; what JAX compiled stays, outside."""
        for name in MADE:
            path = self.root / name
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)

    def digests(self) -> dict[str, str]:
        """SHA-256 of every file below artifacts/."""
        found = sorted(path for path in (self.root / "artifacts").rglob("*") if path.is_file())
        return {
            path.relative_to(self.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in found
        }

    def last_words(self) -> str:
        """The end of what the last commands printed."""
        return (self.root / ".chaos.log").read_text(encoding="utf-8", errors="replace")[-1500:]

    def processes(self) -> list[psutil.Process]:
        """Everything that runs the code of this copy, the Ray of all trials apart."""
        found, family = [], {process.pid for process in self.ray_family()}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("PYTHONPATH") == str(self.root) and process.pid not in family:
                    found.append(process)
        return found


class Fault(Exception):
    """What must not happen has happened."""


def _end(project: Project) -> None:
    """Run to the end, which may take a second try where the first met what a kill has left; then compare."""
    if code := project.run(*project.target):
        raise Fault(f"running again ends with {code}: {project.last_words()}")
    found = project.digests()
    if found != project.expected:
        wrong = sorted(
            name
            for name in {*found, *(project.expected or {})}
            if found.get(name) != (project.expected or {}).get(name)
        )
        raise Fault(f"{len(wrong)} files are not those of an undisturbed run: {', '.join(wrong[:5])}")


def _wait_until_gone(project: Project) -> None:
    until = time.monotonic() + 60
    while left := project.processes():
        if time.monotonic() > until:
            raise Fault(f"a minute after the kill there is {' '.join(left[0].cmdline())[:200]}")
        time.sleep(0.2)


def kill_the_driver(project: Project, generator: np.random.Generator) -> dict[str, Any]:
    """The run is killed at random moments, again and again, with later and later moments."""
    kills = 0
    while kills < KILLS:
        child = project.start(*project.target)
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = child.wait(float(generator.uniform(0.5, project.seconds)))
            if code:
                raise Fault(f"after {kills} kills a run ends with {code}: {project.last_words()}")
            break
        child.kill()
        child.wait()
        kills += 1
        _wait_until_gone(project)
    _end(project)
    return {"kills": kills}


def kill_workers(project: Project, generator: np.random.Generator) -> dict[str, Any]:
    """Processes that a run has started, and workers of Ray, are killed at random while it goes on."""
    kills, runs = 0, 0
    while kills < KILLS:
        runs += 1
        child = project.start(*project.target)
        while child.poll() is None and kills < KILLS:
            time.sleep(float(generator.uniform(0.5, project.seconds / 3)))
            if victims := [
                process for process in project.processes() + _ray_workers(project) if process.pid != child.pid
            ]:
                victim = victims[generator.integers(len(victims))]
                with contextlib.suppress(psutil.Error):
                    victim.kill()
                    kills += 1
        code = child.wait(PATIENCE)
        if code and code not in DIED:
            raise Fault(f"after {kills} kills a run ends with {code}: {project.last_words()}")
        if not code:
            break
    _wait_until_gone(project)
    _end(project)
    return {"kills": kills, "runs": runs}


def _ray_workers(project: Project) -> list[psutil.Process]:
    """Its workers; its servers are not touched."""
    found = []
    for process in project.ray_family():
        with contextlib.suppress(psutil.Error):
            if process.name().startswith("ray::") and not process.name().startswith(AGENTS):
                found.append(process)
    return found


def two_together(project: Project, generator: np.random.Generator) -> dict[str, Any]:
    """Two runs begin at once: one does the work, the other is refused with exit code 7."""
    first = project.start(*project.target)
    time.sleep(float(generator.uniform(0, 1)))
    second = project.start(*project.target)
    codes = sorted([first.wait(PATIENCE), second.wait(PATIENCE)])
    if codes != [0, 7]:
        raise Fault(f"two runs together end with {codes}: {project.last_words()}")
    _end(project)
    return {"runs": 2}


def zombie(project: Project, generator: np.random.Generator) -> dict[str, Any]:
    """A run is stopped in the middle, another one is refused, the first goes on."""
    first = project.start(*project.target)
    time.sleep(float(generator.uniform(2, project.seconds)))
    os.kill(first.pid, signal.SIGSTOP)
    try:
        code = project.run(*project.target) if first.poll() is None else 7
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(first.pid, signal.SIGCONT)
    done = first.wait(PATIENCE)
    if (code, done) not in ((7, 0), (0, 0)):
        raise Fault(
            f"a run beside a stopped one ends with {code}, the stopped one with {done}:"
            f" {project.last_words()}"
        )
    _end(project)
    return {"runs": 2}


def gc_beside(project: Project, generator: np.random.Generator) -> dict[str, Any]:
    """`./rpt gc --yes` again and again beside a run."""
    child, calls = project.start(*project.target), 0
    while child.poll() is None:
        time.sleep(float(generator.uniform(0, 2)))
        calls += 1
        if (code := project.run("gc", "--yes")) not in (0, 7):
            raise Fault(f"gc beside a run ends with {code}: {project.last_words()}")
    if child.returncode:
        raise Fault(f"the run beside gc ends with {child.returncode}: {project.last_words()}")
    _end(project)
    return {"calls": calls}


def damage(project: Project, generator: np.random.Generator) -> dict[str, Any]:
    """Of a finished run five files are damaged: `./rpt verify` and another run bring back what was there."""
    _end(project)
    names = []
    for _ in range(5):
        files = sorted(
            path
            for top in ("artifacts", "ledger")
            for path in (project.root / top).rglob("*")
            if path.is_file()
        )
        path = files[generator.integers(len(files))]
        names.append(path.relative_to(project.root).as_posix())
        _damage(path, generator)
    if (code := project.run("verify")) not in (0, 3):
        raise Fault(f"verify of damaged {names} ends with {code}: {project.last_words()}")
    try:
        _end(project)
    except Fault as fault:
        raise Fault(f"after damage to {', '.join(names)}: {fault}") from None
    return {"faults_written": len(names)}


def _damage(path: Path, generator: np.random.Generator) -> None:
    """One bit, the end, or all of it; every second shard keeps its time, as with a disk that rots."""
    before, data = path.stat(), bytearray(path.read_bytes())
    kind = generator.integers(3) if data else 2
    if kind == 0:
        data[generator.integers(len(data))] ^= 1 << generator.integers(8)
        path.unlink()  # a hard link to DVC's cache would be damaged with it
        path.write_bytes(data)
        if path.suffix == ".parquet" and generator.integers(2):
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif kind == 1:
        path.unlink()
        path.write_bytes(data[: generator.integers(len(data))])
    else:
        path.unlink()


Trial = Callable[[Project, np.random.Generator], dict[str, Any]]
TRIALS: dict[str, Trial] = {
    "kill_the_driver": kill_the_driver,
    "kill_workers": kill_workers,
    "two_together": two_together,
    "zombie": zombie,
    "gc_beside": gc_beside,
    "damage": damage,
}
AFTER_A_RUN = {"damage"}
