"""One process that writes small shards and ledger rows for an hour while one round in a hundred fails: its
memory and its open files stay as they are.

    ./rpt bench soak [--hours 1] [--pause 0.02] [--seed 0] --json

A round writes a shard of an artifact, appends to a ledger and reads it, and every hundredth commits the
artifact and reads it whole. In 1 % of the rounds one of the calls on files fails, as `_failing_calls.py` does
it. What grows is the slope of a line through the resident memory of the second half of the time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa

from benchmarks._failing_calls import CODES, FailingCalls, small_ledger, token_shards
from benchmarks.result import Bar, show
from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.failure import Failure
from data_contracts.tokens import TOKENS

BARS = [
    Bar("faults", 0, at_most=True),
    Bar("mb_an_hour", 1.0, at_most=True),
    Bar("more_open_files", 0, at_most=True),
]
FAILING, WHOLE, LOOK = 0.01, 100, 5.0  # share of rounds, rounds, seconds


def one_round(place: Path, number: int) -> None:
    """Write, append, read; now and then the whole.

    Raises:
        ValueError: if what is read is not what was written.
    """
    table, shard = token_shards(number % 7)[0], place / "tokens" / f"part-{number % WHOLE:05d}.parquet"
    shard.parent.mkdir(parents=True, exist_ok=True)
    write_shard(TOKENS, table, shard)
    ledger, rows = small_ledger(place, range(number % 50, number % 50 + 5))
    ledger.append(rows)
    if not rows["candidate_chunk"].is_in(ledger.read(rows["doc_id"])["candidate_chunk"].implode()).all():
        raise ValueError("the ledger lost a row")
    if number % WHOLE == WHOLE - 1:
        commit(TOKENS, shard.parent)
        if open_artifact(TOKENS, shard.parent).read(shard.name).column("token_ids") != table.column(
            "token_ids"
        ):
            raise ValueError("a shard is not what was written")
        shutil.rmtree(shard.parent)
        shutil.rmtree(place / "ledger", ignore_errors=True)


def soak(
    place: Path, seconds: float, pause: float, seed: int
) -> tuple[Counter, list[tuple[float, int, int]], list[str]]:
    """(counts, (seconds, bytes, open files) every LOOK seconds, faults) of rounds until the time is over."""
    generator, process, failing = np.random.default_rng(seed), psutil.Process(), FailingCalls(place)
    began, looked, counts, faults = time.monotonic(), 0.0, Counter[str](), list[str]()
    seen: list[tuple[float, int, int]] = []
    while (passed := time.monotonic() - began) < seconds:
        number, fails = counts["rounds"], generator.random() < FAILING
        counts.update(rounds=1, failed_calls=int(fails))
        try:
            with failing.armed(int(generator.integers(30)) if fails else -1, int(generator.choice(CODES))):
                one_round(place, number)
        except (OSError, Failure, pa.ArrowException) as error:
            if not fails:
                faults.append(f"round {number}: {error}")
        except Exception as error:
            faults.append(f"round {number}: {type(error).__name__}: {error}")
        if passed - looked > LOOK:
            looked = passed
            seen.append((passed, process.memory_info().rss, process.num_fds()))
        time.sleep(pause)
    failing.close()
    return counts, seen, faults


def main() -> None:
    """Soak and show."""
    load = os.getloadavg()[0]
    parser = argparse.ArgumentParser(prog="rpt bench soak")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--pause", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts, seen, faults = soak(Path(folder), 3600 * asked.hours, asked.pause, asked.seed)
    late = np.array(seen[len(seen) // 2 :], float)
    files = [row[2] for row in seen]
    figures: dict[str, float] = {name: float(count) for name, count in sorted(counts.items())}
    figures |= {
        "hours": round(seen[-1][0] / 3600, 3),
        "mb": round(late[:, 1].mean() / 1e6, 1),
        "mb_an_hour": round(float(np.polyfit(late[:, 0] / 3600, late[:, 1] / 1e6, 1)[0]), 2),
        "open_files": float(files[len(files) // 2]),
        "more_open_files": float(max(files[len(files) // 2 :]) - max(files[: len(files) // 2])),
        "faults": len(faults),
    }
    for fault in faults[:20]:
        sys.stderr.write(f"{fault}\n")
    minutes = [
        [round(row[0] / 60, 1), round(row[1] / 1e6, 1), row[2]] for row in seen[:: max(1, len(seen) // 60)]
    ]
    show("soak", figures, BARS, load, first_seed=asked.seed, minutes_mb_files=minutes, faults=faults)


if __name__ == "__main__":
    main()
