"""Workers of Ray are killed with SIGKILL while stages write sixty small shards: the same bytes, and nothing
is left.

    ./rpt bench worker_chaos [--kills 200] [--minutes 60] [--seed 0] --json

One Ray stays for all rounds. A round is one of four stages with two workers; whenever some time has passed,
one of the workers is killed, whether it works or waits. Ray tries the shard of a lost worker again a few
times; a stage that ends for good says so (exit code 75 or 5), is begun again, and goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil

from benchmarks._chaos_trials import AGENTS
from benchmarks._forked_stages import Fault, Workspace
from benchmarks.chaos import RAY, ray_address
from benchmarks.result import Bar, show
from benchmarks.stage_chaos import OF_JAX, make_workspace

BARS = [Bar("faults", 0, at_most=True)]
STAGES = ("tokenization", "chunking", "mining", "packing")
SHARDS, MOST_KILLS, TRIES = 60, 12, 30
DIED = (5, 75)
ROOT = Path(__file__).resolve().parents[1]


def workers(driver: int) -> list[psutil.Process]:
    """The workers of the Ray that a process has started, and not its agents, without which a node ends."""
    found = []
    for process in psutil.Process(driver).children(recursive=True):
        with suppress(psutil.Error):
            if process.name().startswith("ray::") and not process.name().startswith(AGENTS):
                found.append(process)
    return found


def a_round(
    place: Workspace, name: str, driver: int, environment: dict[str, str], generator: np.random.Generator
) -> Counter:
    """One stage from nothing to its end.

    Raises:
        Fault: if it ends otherwise, or with other bytes.
    """
    place.clean(name)
    counts = Counter[str](rounds=1)
    for _ in range(TRIES):
        with open(place.root / "chaos.log", "a", encoding="utf-8") as log:
            command = [sys.executable, "-m", "stages", name, "demo"]
            child = subprocess.Popen(command, cwd=place.root, env=environment, stdout=log, stderr=log)
        counts["tries"] += 1
        while child.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                child.wait(float(generator.exponential(1.0)))
            if child.poll() is None and counts["kills"] < MOST_KILLS and (there := workers(driver)):
                with suppress(psutil.Error):
                    there[generator.integers(len(there))].kill()
                    counts["kills"] += 1
        if child.returncode == 0:
            place.check_end(name)
            return counts
        if child.returncode not in DIED:
            break
    raise Fault(f"{name} ends with {child.returncode} after {dict(counts)}: {place.last_words()}")


def main() -> None:
    """Kill and show."""
    load = os.getloadavg()[0]
    parser = argparse.ArgumentParser(prog="rpt bench worker_chaos")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    began, counts, faults = time.monotonic(), Counter[str](), list[dict]()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {name: value.format(folder) for name, value in OF_JAX.items()}
        place = make_workspace(Path(folder) / "rpt", ("ingestion", "tokenizer", *STAGES), SHARDS)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-c", RAY]
        ray = subprocess.Popen(
            command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            environment |= ray_address(ray)
            while counts["kills"] < asked.kills and time.monotonic() < began + 60 * asked.minutes:
                seed = [asked.seed, counts["rounds"]]
                name = STAGES[counts["rounds"] % len(STAGES)]
                try:
                    counts += a_round(place, name, ray.pid, environment, np.random.default_rng(seed))
                except Fault as fault:
                    faults.append({"stage": name, "seed": seed, "fault": str(fault)})
                    shutil.rmtree(place.root / ".work", ignore_errors=True)
                    place.clean(name)
                    place.run(name)
                    counts["rounds"] += 1
                sys.stderr.write(f"{time.strftime('%H:%M:%S')} {dict(counts)} {json.dumps(faults[-1:])}\n")
        finally:
            ray.communicate("")
    figures = {name: float(count) for name, count in sorted(counts.items())}
    figures |= {"faults": len(faults), "hours": round((time.monotonic() - began) / 3600, 3)}
    show("worker_chaos", figures, BARS, load, first_seed=asked.seed, faults=faults)


if __name__ == "__main__":
    main()
