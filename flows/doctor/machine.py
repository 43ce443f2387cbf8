"""What the machine must have: cores, memory, disk, open files, shared memory, and devices that JAX sees."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil

from flows.doctor.finding import Finding, judged
from flows.workspace import ROOT, child_environment

GIB = 2**30
LEAST_MEMORY, LEAST_DISK = 4 * GIB, 6 * GIB
LEAST_FILES = 1024
LONGEST_SOCKET = 107  # bytes of a path of a socket, on Linux
RAY_SOCKET = "/ray/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store"
ENOUGH_SHARED = 256 * 2**20
DEVICES = "import jax; print(*sorted({f'{d.platform}: {d.device_kind}' for d in jax.devices()}), sep=', ')"


def python_version() -> Finding:
    """Python 3.11 to 3.13."""
    found = ".".join(map(str, sys.version_info[:3]))
    fix = "install Python 3.11, 3.12 or 3.13, then: rm -rf .venv && PYTHON=/path/to/python3.11 ./rpt doctor"
    return judged("python", found, fix, bad=not (3, 11) <= sys.version_info[:2] < (3, 14))


def cores() -> Finding:
    """Cores that this process may use; with one alone everything works and nothing runs side by side."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return judged(
        "cores",
        f"{usable} usable of {os.cpu_count()}",
        "give the container more, or expect twice the time",
        unsure=usable < 2,
    )


def memory(
    available: Callable[[], int] = lambda: psutil.virtual_memory().available,
    limit: Callable[[], int | None] | None = None,
) -> Finding:
    """Memory that is free now, within what a container may use."""
    free, allowed = available(), (limit or container_limit)()
    usable = min(free, allowed) if allowed else free
    words = f"{free / GIB:.1f} GiB free" + (
        f", a container may use {allowed / GIB:.1f} GiB" if allowed else ""
    )
    return judged(
        "memory",
        words,
        "./rpt config -o runtime.workers=1, or end other programs",
        unsure=usable < LEAST_MEMORY,
    )


def container_limit(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that the control group allows, or None where there is no limit or no control group."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            text = (root / name).read_text().strip()
        except OSError:
            continue
        limit = int(text) if text.isdigit() else None
        return limit if limit and limit < 2**60 else None
    return None


def disk() -> Finding:
    """Room for artifacts, DVC's cache and the environment of the tests."""
    free = shutil.disk_usage(ROOT).free
    fix = "./rpt gc --yes, dvc gc --workspace, or move the checkout to a larger disk"
    return judged(
        "disk",
        f"{free / GIB:.1f} GiB free at {ROOT}",
        fix,
        bad=free < LEAST_DISK / 6,
        unsure=free < LEAST_DISK,
    )


def inodes() -> Finding:
    """Room for files by their number, of which an environment has 60,000."""
    stat = os.statvfs(ROOT)
    if not stat.f_files:
        return Finding("inodes", "good", "this file system does not count them")
    return judged(
        "inodes",
        f"{stat.f_favail:,} free",
        "remove directories of many small files on this disk",
        bad=stat.f_favail < 100_000,
    )


def open_files() -> Finding:
    """Files that a process may hold open; Ray opens some hundreds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return judged(
        "open files",
        f"{soft:,} of at most {hard:,}",
        f"ulimit -n {min(65_536, hard)}",
        bad=soft < LEAST_FILES,
    )


def shared_memory(place: Path = Path("/dev/shm")) -> Finding:
    """Room for Ray's object store."""
    if not place.is_dir():
        return Finding(
            "shared memory", "good", f"no {place} here; Ray keeps its objects in the temporary directory"
        )
    free = shutil.disk_usage(place).free
    fix = "start the container with --shm-size=1g, or: ./rpt config -o runtime.object_store_mb=80"
    return judged(
        "shared memory", f"{free / 2**20:,.0f} MiB free in {place}", fix, unsure=free < ENOUGH_SHARED
    )


def temporary_directory() -> Finding:
    """A temporary directory that is writable and short enough for the sockets of Ray."""
    place = tempfile.gettempdir()
    with tempfile.NamedTemporaryFile(dir=place):
        pass
    length = len(os.fsencode(os.environ.get("RAY_TMPDIR", "/tmp") + RAY_SOCKET))
    return judged(
        "temporary files", f"{place} is writable", "export RAY_TMPDIR=/tmp", bad=length > LONGEST_SOCKET
    )


def devices() -> Finding:
    """What JAX computes on, and whether a card of NVIDIA is left idle."""
    child = subprocess.run(
        [sys.executable, "-c", DEVICES],
        capture_output=True,
        text=True,
        env=child_environment(),
        timeout=120,
        check=False,
    )
    if child.returncode:
        last = (child.stderr.strip().splitlines() or ["no message"])[-1]
        return Finding(
            "devices", "bad", f"JAX finds none: {last}", "export JAX_PLATFORMS=cpu, or mend the driver"
        )
    idle = (
        Path("/proc/driver/nvidia/version").exists()
        and "gpu" not in child.stdout
        and "cuda" not in child.stdout
    )
    fix = ".venv/bin/pip install 'jax[cuda13]'"
    return judged("devices", child.stdout.strip(), fix, unsure=idle)


CHECKS = {
    "python": python_version,
    "cores": cores,
    "memory": memory,
    "disk": disk,
    "inodes": inodes,
    "open files": open_files,
    "shared memory": shared_memory,
    "temporary files": temporary_directory,
    "devices": devices,
}
