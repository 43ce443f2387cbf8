"""What `./rpt bench chaos` does to whole runs, done to single stages: hundreds of kills at seconds instead of
minutes each.

    ./rpt bench stage_chaos [--kills 500] [--twice 50] [--stopped 50] [--gc 200] [--seed 0] --json

Ten stages of six short documents, each in a forked child, through the runner, the scratch directories, the
ledger and the commits of `python -m stages` (`_forked_stages.py` says what is not there: Ray). A stage is
killed with SIGKILL at random moments and goes on; two begin together; one is stopped while another tries;
`./rpt gc --yes` runs beside one and after it was killed. Each trial ends with the bytes of an undisturbed
run, with no shard written twice that was whole, and with nothing left over; its seed is in the output.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks._forked_stages import COUNTED, STAGES, TRIALS, WITH_JAX, Fault, Workspace
from benchmarks._tiny_project import TINY, synthetic_document
from benchmarks.result import Bar, show
from flows.overrides import apply_overrides
from stages.runner.stage import load_stage

BARS = [Bar("faults", 0, at_most=True)]
JAX_SHARE = 0.08  # of trials; they cost ten times as much
ROOT = Path(__file__).resolve().parents[1]
OF_JAX = {
    "JAX_PLATFORMS": "cpu",
    "JAX_COMPILATION_CACHE_DIR": "{}/jax-cache",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
}


def make_workspace(
    root: Path, stages: tuple[str, ...] = (*STAGES, *WITH_JAX), documents: int = 6
) -> Workspace:
    """So many short documents, a shard each, and every stage run once."""
    (root / "texts").mkdir(parents=True)
    for number in range(documents):
        (root / "texts" / f"{number}.txt").write_text(synthetic_document(number))
    shutil.copy(ROOT / "profiles" / "demo.yaml", root / "params.yaml")
    changes = TINY | {"reference_lm.tokens": 600, "exhaustive.queries": 40, "ingestion.shards": documents}
    apply_overrides(root / "params.yaml", {**changes, "scoring.engine": "jax"})
    place = Workspace(root)
    if place.start(_inventory).wait():
        raise SystemExit(place.last_words())
    for name in stages:  # here, once, and not in every child
        load_stage(name)
    if set(stages) & set(WITH_JAX):
        importlib.import_module("stages.engines.jax_engine")
    for name in stages:
        began = time.monotonic()
        place.run(name)
        place.seconds[name], place.expected[name] = time.monotonic() - began, place.digests(name)
    return place


def _inventory() -> int:
    from stages.ingestion.inventory import write_inventories
    from stages.parameters import load

    write_inventories(load(Path("params.yaml")))
    return 0


def try_all(place: Workspace, wanted: dict[str, int], seed: int, faults: list[dict]) -> Counter:
    """Trials of each kind until there are as many kills, pairs and so on as wanted; faults are added."""
    counts: Counter = Counter()
    number = 0
    for kind, least in wanted.items():
        while counts[COUNTED[kind]] < least:
            generator = np.random.default_rng([seed, number])
            names = WITH_JAX if kind == "kill" and generator.random() < JAX_SHARE else STAGES
            name = str(generator.choice(names))
            try:
                counts.update(TRIALS[kind](place, name, generator))
            except Fault as fault:
                faults.append({"trial": kind, "stage": name, "seed": [seed, number], "fault": str(fault)})
                sys.stderr.write(f"{json.dumps(faults[-1])}\n")
                place.clean(name)
                place.run(name)
                counts[COUNTED[kind]] += 1
            number += 1
            counts["trials"] += 1
            if number % 20 == 0:
                sys.stderr.write(f"{time.strftime('%H:%M:%S')} {dict(counts)}\n")
    return counts


def main() -> None:
    """Try and show."""
    load = os.getloadavg()[0]
    parser = argparse.ArgumentParser(prog="rpt bench stage_chaos")
    for name, number in {"kills": 500, "twice": 50, "stopped": 50, "gc": 200}.items():
        parser.add_argument(f"--{name}", type=int, default=number)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    began, faults = time.monotonic(), list[dict]()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {name: value.format(folder) for name, value in OF_JAX.items()}
        place = make_workspace(Path(folder) / "rpt")
        wanted = {kind: getattr(asked, counted) for kind, counted in COUNTED.items()}
        counts = try_all(place, wanted, asked.seed, faults)
    figures = {name: float(count) for name, count in sorted(counts.items())}
    figures |= {"faults": len(faults), "hours": round((time.monotonic() - began) / 3600, 3)}
    seconds = {name: round(value, 2) for name, value in place.seconds.items()}
    show(
        "stage_chaos", figures, BARS, load, first_seed=asked.seed, undisturbed_seconds=seconds, faults=faults
    )


if __name__ == "__main__":
    main()
