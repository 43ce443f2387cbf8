"""Kills, failing calls, full disks, two runs at once, damage: whatever happens, running again ends with the
bytes of an undisturbed run.

    ./rpt bench chaos [--hours 0.3] [--seed 0] [--trial NAME] [--until scoring] --json

First every open, rename, unlink, folder and fsync of four writers fails once (an artifact, the label store, a
checkpoint, the settings), with ENOSPC, EIO, EROFS and EMFILE in turn, and every write at 28 sizes of a file.
Then trials go round in a copy of the checkout, on six short documents up to their candidates or the stage
named, until the time is over: the run is killed, its workers are, two runs begin together, one is stopped
while another tries, gc runs beside it, files of artifacts and of the label store are damaged. The seed of
each trial stands in the output. One Ray stays for all trials, so its start is not among them. Failures of
writes are limits of the size of a file, not of a disk.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks._chaos_trials import AFTER_A_RUN, TRIALS, Fault, Project
from benchmarks._copy import environment, fresh_copy
from benchmarks._failing_calls import WRITERS, fail_each
from benchmarks._tiny_project import make_tiny
from benchmarks.result import Bar, show

BARS = [Bar("faults", 0, at_most=True)]


def failing_calls(folder: Path, faults: list[dict]) -> dict[str, float]:
    """Figures of the first part."""
    tallies = {name: fail_each(name, folder) for name in WRITERS}
    faults += [
        {"trial": "failing_calls", "fault": fault} for tally in tallies.values() for fault in tally.faults
    ]
    calls, writes = (sum(getattr(tally, kind) for tally in tallies.values()) for kind in ("calls", "writes"))
    return {"failed_calls": calls, "failed_writes": writes}


def prepared(root: Path, ray: subprocess.Popen[str], until: str) -> Project:
    """The project, its undisturbed artifacts and how long they took."""
    project = Project(root, ray_address(ray), ray.pid, ("run", until))
    began = time.monotonic()
    if code := project.run(*project.target):
        raise SystemExit(f"the undisturbed run ends with {code}: {project.last_words()}")
    project.seconds, project.expected = time.monotonic() - began, project.digests()
    return project


def try_on(
    project: Project, names: list[str], seed: int, until: float, faults: list[dict]
) -> tuple[Counter, list[dict]]:
    """(counts, a row a trial) of trials in turn, each with a seed of its own, until the time is over."""
    counts: Counter = Counter()
    rows: list[dict] = []
    number = 0
    while time.monotonic() < until:
        name, its_seed = names[number % len(names)], seed + number
        if name not in AFTER_A_RUN:
            project.clean()
        began = time.monotonic()
        row: dict = {"trial": name, "seed": its_seed}
        try:
            found = TRIALS[name](project, np.random.default_rng(its_seed))
            counts.update(found)
            row |= found
        except Fault as fault:
            faults.append({**row, "fault": str(fault)})
            sys.stderr.write(f"{json.dumps(faults[-1])}\n")
            for process in project.processes():
                process.kill()
            project.clean()
        rows.append(row | {"seconds": round(time.monotonic() - began, 1)})
        sys.stderr.write(f"{json.dumps(rows[-1])}\n")
        number += 1
    return counts, rows


def main() -> None:
    """Try and show."""
    load = os.getloadavg()[0]
    parser = argparse.ArgumentParser(prog="rpt bench chaos")
    parser.add_argument("--hours", type=float, default=0.3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--trial", action="append", choices=list(TRIALS), help="none means all, and failing calls before"
    )
    parser.add_argument("--until", default="mining", help="the last stage of the pipeline, such as scoring")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    began, faults = time.monotonic(), list[dict]()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        figures = {} if asked.trial else failing_calls(folder / "calls", faults)
        root = fresh_copy(folder)
        make_tiny(root)
        command = [sys.executable, "-c", RAY]
        ray = subprocess.Popen(
            command, cwd=root, env=environment(root), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            project = prepared(root, ray, asked.until)
            counts, rows = try_on(
                project, asked.trial or list(TRIALS), asked.seed, began + 3600 * asked.hours, faults
            )
        finally:
            ray.communicate("")
    figures |= {name: float(count) for name, count in sorted(counts.items())}
    figures |= {
        "trials": len(rows),
        "faults": len(faults),
        "hours": round((time.monotonic() - began) / 3600, 3),
    }
    show(
        "chaos",
        figures,
        BARS,
        load,
        first_seed=asked.seed,
        undisturbed_seconds=round(project.seconds, 1),
        trials=rows,
        faults=faults,
    )


RAY = """
import sys
from stages.parameters import Runtime
from stages.runner.ray_map import start_ray
print(start_ray(Runtime(workers=2)), flush=True)
sys.stdin.read()
"""


def ray_address(ray: subprocess.Popen[str]) -> dict[str, str]:
    """The variables with which a process joins the Ray that `RAY` has started."""
    assert ray.stdout
    return {"RAY_ADDRESS": ray.stdout.readline().strip(), "RAY_AUTH_MODE": "token"}


if __name__ == "__main__":
    main()
