"""`rpt demo --chaos`: the demo in a copy that is killed five times and goes on, against the demo that nobody
disturbed.

The copy starts from nothing below `.run/chaos/`, with the parameters of this checkout. What both have made is
compared file by file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML

from data_contracts.failure import Exit, Failure
from flows.commands.fresh_copy import copy_checkout
from flows.terminal.output import out
from flows.workspace import ROOT, STATE, child_environment

KILLS = 5
SOONEST, LATEST = 3.0, 30.0  # seconds after a stage began at which it is killed
LEASH_SECONDS = 60.0  # until what a killed run has started must be gone, and with it the lock


def disturb(seed: int) -> int:
    """Kill and go on, then compare; the demo of this checkout must have been run.

    Raises:
        Failure: if the killed demo does not end well (with its exit code), or (exit code 3) has other bytes.
    """
    place = STATE / "chaos"
    shutil.rmtree(place, ignore_errors=True)
    copy = copy_checkout(place / "rpt")
    shutil.rmtree(copy / ".run", ignore_errors=True)
    for name in ("corpora", "models"):  # large, and only read
        if (ROOT / name).is_dir() and not (copy / name).exists():
            (copy / name).symlink_to(ROOT / name)
    out(
        f"The same in a copy that is killed {KILLS} times (seed {seed}; its output is in"
        f" {os.path.relpath(place, ROOT)}/out.log) ..."
    )
    generator = random.Random(seed)
    kills = 0
    for number in range(1, KILLS + 1):
        stage = _kill(copy, generator.uniform(SOONEST, LATEST))
        if stage is None:
            break
        kills = number
        out(f"  kill {number} of {KILLS}: kill -9 in {stage}")
    code = _finish(copy)
    if code:
        words = (place / "out.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        raise Failure(
            f"the demo that was killed {kills} times",
            " ".join(words)[:500],
            f"see {place}/out.log",
            Exit(code) if code in set(Exit) else Exit.STAGE_FAILED,
        )
    places = outputs(copy)
    wrong = differing(ROOT, copy, places)
    if wrong:
        remedy = f"compare them with those in {os.path.relpath(copy, ROOT)}, and report it"
        raise Failure(
            f"{len(wrong)} files differ after {kills} kills", ", ".join(wrong[:5]), remedy, Exit.CONTRACT
        )
    count = len(digests(copy, places))
    shutil.rmtree(place)
    out(f"  killed {kills} times, it has made the same {count} files, byte for byte (SHA-256)")
    return Exit.DONE


def outputs(root: Path) -> list[str]:
    """The places below artifacts/ that the dvc.lock of a checkout names."""
    stages = YAML(typ="safe").load((root / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    return sorted(
        one["path"]
        for stage in stages.values()
        for one in stage.get("outs", ())
        if one["path"].startswith("artifacts/")
    )


def digests(root: Path, places: list[str]) -> dict[str, str]:
    """SHA-256 of every file in some places of a checkout."""
    found = [
        path
        for place in places
        for path in ([root / place] if (root / place).is_file() else (root / place).rglob("*"))
    ]
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(found)
        if path.is_file()
    }


def differing(first: Path, second: Path, places: list[str]) -> list[str]:
    """The files in some places that two checkouts do not both have, with the same bytes."""
    here, there = digests(first, places), digests(second, places)
    return sorted(name for name in {*here, *there} if here.get(name) != there.get(name))


def _start(copy: Path) -> subprocess.Popen[bytes]:
    environment = {
        **child_environment(),
        "PYTHONPATH": str(copy),
        "DVC_SITE_CACHE_DIR": str(copy / ".run" / "dvc"),
    }
    (copy / ".run").mkdir(mode=0o700, exist_ok=True)
    with open(copy.parent / "out.log", "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "demo"],
            cwd=copy,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _kill(copy: Path, seconds: float) -> str | None:
    """Start, wait until a stage works, then so many seconds, and kill; the stage, or None if the demo had
    ended.
    """
    events = copy / ".run" / "events.jsonl"
    events.unlink(missing_ok=True)
    with _not_left(_begun(copy)) as child:
        while child.poll() is None and _stage(events) is None:
            time.sleep(0.2)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(seconds)
            return None
        stage = _stage(events)
        child.kill()
        child.wait()
        return stage


@contextlib.contextmanager
def _not_left(child: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """End the demo in the copy if we are interrupted: it is in a session of its own, which Ctrl-C does not
    reach.
    """
    try:
        yield child
    except BaseException:
        child.kill()
        child.wait()
        raise


def _begun(copy: Path) -> subprocess.Popen[bytes]:
    """A demo that holds the lock: what a kill has left holds it for some seconds."""
    until = time.monotonic() + LEASH_SECONDS
    while True:
        with _not_left(_start(copy)) as child, contextlib.suppress(subprocess.TimeoutExpired):
            if child.wait(5) == Exit.LOCKED and time.monotonic() < until:
                time.sleep(1)
                continue
        return child


def _finish(copy: Path) -> int:
    with _not_left(_begun(copy)) as child:
        return child.wait()


def _stage(events: Path) -> str | None:
    """The stage that began last."""
    begun = None
    if events.exists():
        for line in events.read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                begun = event["stage"] if event["event"] == "begin" else begun
    return begun
