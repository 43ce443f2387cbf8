"""Damaged files against every reader of files that others wrote: each is read, quarantined or refused in
words, and nothing else.

    ./rpt bench fuzz [--seconds 600] [--seed 0] [READER ...] --json

Each reader has a child with little memory and 30 s a file; the parent never reads a damaged file itself. A
fault is a traceback, a panic, a crash, memory that is taken on the word of a file, or a refusal that does not
say file, cause and remedy; it is named with its seed, and `--seed N --cases 1 READER` repeats it. Every
reader has an equal share of the time, or `--cases` if they are over earlier.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks._fuzzed_readers import READERS
from benchmarks.result import Bar, show

PATIENCE, START = 30.0, 180.0  # seconds for a file, and until a child has imported what it needs
BARS = [Bar("faults", 0, at_most=True)]
ROOT = Path(__file__).resolve().parents[1]


class Child:
    """A process that reads damaged files with one reader; when it dies of one, the next one is read by
    another.
    """

    def __init__(self, reader: str):
        self.reader = reader
        self._process: subprocess.Popen[str] | None = None

    def try_one(self, seed: int) -> dict:
        """The answer for one seed; a process that dies or hangs is a fault."""
        process = self._process or self._start()
        assert process.stdin
        try:
            process.stdin.write(f"{seed}\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self._answer(process, PATIENCE)
        if answer is None:
            self.end()
            return {
                "outcome": "fault",
                "said": f"the process ended with {process.returncode} (-9: after {PATIENCE:.0f} s)",
            }
        return answer

    def _start(self) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": str(ROOT),
            "RAYON_NUM_THREADS": "1",
        }
        command = [sys.executable, "-m", "benchmarks._fuzz_worker", self.reader]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        first = self._answer(self._process, START)
        if first is None or first["outcome"] != "read":
            self._process.kill()
            raise SystemExit(
                f"{self.reader} cannot read its own undamaged files:"
                f" {first or self._process.communicate()[1][-2000:]}"
            )
        return self._process

    @staticmethod
    def _answer(process: subprocess.Popen[str], patience: float) -> dict | None:
        assert process.stdout
        ready, _, _ = select.select([process.stdout], [], [], patience)
        line = process.stdout.readline() if ready else ""
        return json.loads(line) if line else None

    def end(self) -> None:
        """Stop the process, if there is one."""
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None


def fuzz(readers: list[str], seed: int, cases: int, seconds: float) -> tuple[dict[str, Counter], list[dict]]:
    """(outcomes by reader, faults) of `cases` seeds from `seed` on for each reader, or as many as `seconds`
    allow.
    """
    counts: dict[str, Counter] = {name: Counter() for name in readers}
    faults: list[dict] = []
    for name in readers:  # one child at a time: each holds what its reader imports
        child, began = Child(name), time.monotonic()
        try:
            for number in range(seed, seed + cases):
                answer = child.try_one(number)
                counts[name][answer["outcome"]] += 1
                if answer["outcome"] == "fault":
                    faults.append({"reader": name, "seed": number, **answer})
                    sys.stderr.write(f"{json.dumps(faults[-1])}\n")
                if time.monotonic() - began > seconds / len(readers):
                    break
        finally:
            child.end()
    return counts, faults


def main() -> None:
    """Try and show."""
    load = os.getloadavg()[0]
    parser = argparse.ArgumentParser(prog="rpt bench fuzz")
    parser.add_argument("readers", nargs="*", choices=[*READERS, []], help="none means all")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=10**9)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    began = time.monotonic()
    counts, faults = fuzz(asked.readers or list(READERS), asked.seed, asked.cases, asked.seconds)
    total = sum(counts.values(), Counter())
    figures: dict[str, float] = {name: total[name] for name in ("read", "quarantined", "refused")}
    figures |= {"faults": len(faults), "cases": total.total(), "seconds": round(time.monotonic() - began, 1)}
    show(
        "fuzz",
        figures,
        BARS,
        load,
        first_seed=asked.seed,
        readers={name: dict(found) for name, found in counts.items()},
        faults=faults,
    )


if __name__ == "__main__":
    main()
