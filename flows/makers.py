"""Who made an artifact: written below `.run/` when a stage has run, and never into a tracked file.

A note is found by the digest of the artifact's manifest, so that labels that are restored, or fetched from a
commit, are known again, and others are not taken for them.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import psutil
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML

from data_contracts.whole_files import sha256, write_atomically
from flows.dvc_records import LOCK
from flows.parameter_changes import leaves
from flows.workspace import ROOT
from reports.browser.made import Maker

PLACE = Path(".run/made")
NAMED = 3  # edited files
PACKAGES = ("jax", "jaxlib", "flax", "vllm", "ray", "tokenizers", "pyarrow", "polars", "faiss-cpu", "dvc")
CPU_FACTS, GPU_FACTS = Path("/proc/cpuinfo"), "/proc/driver/nvidia/gpus"
_MAKER = TypeAdapter(Maker)


def remember(stage: str, seconds: float, progress: str, commit: str, root: Path = ROOT) -> None:
    """Keep who made the artifacts of a stage that has just run, as dvc.lock names them; `commit` is that of
    when it began.

    Raises:
        OSError, ValueError, KeyError: a note cannot be written, or dvc.lock does not name the stage.
    """
    known = YAML(typ="safe").load((root / LOCK).read_bytes())["stages"][stage]
    named = {key: json.dumps(value) for key, value in leaves(known.get("params", {}).get("params.yaml", {}))}
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    maker = Maker(stage, now, round(seconds, 1), commit, _versions(), machine(), progress, named)
    for out in known.get("outs", []):
        if (manifest := root / out["path"] / "manifest.json").is_file():
            place = root / PLACE / f"{sha256(manifest)}.json"
            place.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(place, (json.dumps(asdict(maker), indent=1) + "\n").encode())


def maker_of(digest: str, root: Path = ROOT) -> Maker | None:
    """Who made the artifact whose manifest has this digest; None if nobody wrote it down, or not legibly."""
    try:
        return _MAKER.validate_json((root / PLACE / f"{digest}.json").read_bytes())
    except (OSError, ValidationError):
        return None


def machine() -> str:
    """The kind of this machine, without its name."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = psutil.virtual_memory().total / 2**30
    gpus = [_fact(path, "Model") for path in sorted(Path(GPU_FACTS).glob("*/information"))]
    cpu = _fact(CPU_FACTS, "model name") or platform.machine()
    kinds = [f"{gpus.count(gpu)} {gpu}" for gpu in sorted(set(gpus))]
    return ", ".join([platform.system(), f"{cores} cores of {cpu}", f"{memory:.0f} GiB", *kinds])


def _fact(path: Path, name: str) -> str:
    """The first value of a name in one of the kernel's lists; nothing where there is none."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def commit(root: Path = ROOT) -> str:
    """The commit of the checkout, and which files differ from it."""
    asked = [["git", "rev-parse", "--short=12", "HEAD"], ["git", "status", "--porcelain", "-uno"]]
    try:
        head, edits = (
            subprocess.run(one, cwd=root, capture_output=True, errors="replace", check=True).stdout.strip()
            for one in asked
        )
    except (OSError, subprocess.CalledProcessError):
        return "no git checkout"
    changed = sorted(line.split()[-1] for line in edits.splitlines())
    more = [f"{len(changed) - NAMED} more"] if len(changed) > NAMED else []
    return f"{head}, with edits of {', '.join([*changed[:NAMED], *more])}" if changed else head


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
