"""Which seeded faults the tests find: what a faster suite must not lose.

`tests/seeded_faults/*.toml` has small patches, each with what it makes wrong, the one place that it changes
and the tests that ought to find it. Each is applied in a copy of the checkout, and those tests are run there:
first those of the quick tier, then, if they pass, the slow ones among them. So the shares are lower bounds:
what another test finds does not count. Before that the same tests must pass in a copy without a fault. With
names of faults as arguments only these are tried.

Figures: `applied` (share of patches whose place is still there, once), `found_quick` and `found_all` (shares
of all faults).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from benchmarks._copy import fresh_copy
from benchmarks.result import Bar, show
from flows.workspace import ROOT

FAULTS = ROOT / "tests" / "seeded_faults"
BARS = [
    Bar("applied", 1.0, at_most=False),
    Bar("found_quick", 0.85, at_most=False),
    Bar("found_all", 0.95, at_most=False),
]
TIERS = {"quick": "not slow and not vllm", "all": "not vllm"}
PASSED, FAILED, NONE_SELECTED = 0, 1, 5  # exit codes of pytest


@dataclass(frozen=True)
class Fault:
    """`old`, which stands once in `file`, becomes `new`; `tests` are paths or node ids, nearest first; `tier`
    is the one to find it in.
    """

    name: str
    meaning: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    tier: str

    def applies(self, root: Path) -> bool:
        """Whether its place is there, and only once."""
        path = root / self.file
        return path.exists() and path.read_text(encoding="utf-8").count(self.old) == 1


def load() -> list[Fault]:
    """All faults, by file and in its order."""
    rows = [
        row
        for path in sorted(FAULTS.glob("*.toml"))
        for row in tomllib.loads(path.read_text(encoding="utf-8"))["fault"]
    ]
    return [Fault(**{**row, "tests": tuple(row["tests"])}) for row in rows]


def run_tests(root: Path, tests: tuple[str, ...], tier: str, *options: str) -> tuple[int, str]:
    """(exit code, output) of pytest on `tests` in the copy `root`."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--durations=0",
        "-m",
        TIERS[tier],
        *options,
        *tests,
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".run" / "jax-cache"),
    }
    done = subprocess.run(command, cwd=root, env=environment, text=True, capture_output=True, check=False)
    if done.returncode not in (PASSED, FAILED, NONE_SELECTED):
        raise SystemExit(
            f"pytest {' '.join(tests)} ended with"
            f" {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-1000:]}"
        )
    return done.returncode, done.stdout


def failing(output: str) -> str:
    """The test that failed, by pytest's own summary."""
    return next(line.split()[1] for line in output.splitlines() if line.startswith(("FAILED ", "ERROR ")))


def found_by(fault: Fault, root: Path) -> tuple[str, str] | None:
    """(tier, test) that finds the fault in the copy `root`, which is as it was afterwards."""
    path = root / fault.file
    good = path.read_text(encoding="utf-8")
    path.write_text(good.replace(fault.old, fault.new), encoding="utf-8")
    try:
        for tier in TIERS if fault.tests else ():
            code, output = run_tests(root, fault.tests, tier, "-x")
            if code == FAILED:
                return tier, failing(output)
        return None
    finally:
        path.write_text(good, encoding="utf-8")


def try_all(faults: list[Fault], folder: Path, workers: int) -> dict[str, tuple[str, str] | None]:
    """What finds each fault; every worker has a copy of its own."""
    copies: SimpleQueue[Path] = SimpleQueue()
    for number in range(workers):
        copies.put(fresh_copy(folder / str(number)))

    def one(fault: Fault) -> tuple[str, str] | None:
        root, began = copies.get(), time.monotonic()
        found = found_by(fault, root)
        copies.put(root)
        sys.stderr.write(
            f"{fault.name}: {' '.join(found) if found else 'NOT FOUND'} ({time.monotonic() - began:.0f} s)\n"
        )
        return found

    with ThreadPoolExecutor(workers) as pool:
        return dict(zip([fault.name for fault in faults], pool.map(one, faults), strict=True))


def main() -> None:
    """Try and show."""
    load_at_start = os.getloadavg()[0]
    names = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    faults = [fault for fault in load() if not names or fault.name in names]
    applicable = [fault for fault in faults if fault.applies(ROOT)]
    for fault in faults:
        if fault not in applicable:
            sys.stderr.write(f"{fault.name}: its place is not in {fault.file}, once\n")
    workers = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        clean = fresh_copy(Path(folder) / "clean")
        tests = tuple(sorted({test for fault in applicable for test in fault.tests}))
        code, output = run_tests(clean, tests, "all", "-n", str(workers), "--dist", "loadfile")
        if code != PASSED:
            raise SystemExit(f"these tests must pass without a fault:\n{output[-6000:]}")
        found = try_all(applicable, Path(folder), workers)
    by_quick, by_all = (
        sum(1 for hit in found.values() if hit and hit[0] in tiers)
        for tiers in (("quick",), ("quick", "all"))
    )
    figures = {
        "applied": len(applicable) / len(faults),
        "found_quick": by_quick / len(faults),
        "found_all": by_all / len(faults),
    }
    show(
        "faults_seeded",
        figures,
        BARS,
        load_at_start,
        faults={name: list(hit) if hit else None for name, hit in found.items()},
    )
    if len(applicable) < len(faults):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
