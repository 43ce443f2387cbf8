"""Disks that are full, fail or cannot be written to, for real: small file systems of 50 sizes, one that is
read-only, few open files, and each write and sync failing.

    ./rpt bench disks [--writer NAME] --json

*Needs: Linux with user namespaces (`unshare`), and `cc`.* The writers are those of `_failing_calls.py`. The
bench starts itself again in a namespace of its own, where it mounts a tmpfs of each size, and with a small
library that makes the i-th write or sync of a C library fail (EIO, ENOSPC, EDQUOT in turn), for every i until
none fails. After each failure what was there or what comes must be read; then the disk has room again, and
the next try must succeed.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks._failing_calls import MOST, WRITERS, Writer, attempt, judged
from benchmarks.result import Bar, show

BARS = [Bar("faults", 0, at_most=True)]
CODES = (errno.EIO, errno.ENOSPC, errno.EDQUOT)
BLOCKS = 50  # sizes of a disk, from one that has no room for more than is there
FILES = 16  # limits of open files, from none more than there are
INSIDE = "RPT_BENCH_DISKS"


def again_inside(folder: Path) -> None:
    """Run this bench in a namespace of its own, with the library loaded, and exit as it does; returns if it
    runs there already.

    Raises:
        SystemExit: if there is no `cc` or no `unshare`, or the kernel refuses.
    """
    if os.environ.get(INSIDE):
        folder.rmdir()
        return
    library = folder / "failing_writes.so"
    source = Path(__file__).with_name("failing_writes.c")
    for program in ("cc", "unshare"):
        if not shutil.which(program):
            raise SystemExit(f"rpt bench disks needs `{program}`")
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    python = [sys.executable, "-m", "benchmarks.disks", *sys.argv[1:]]
    environment = {**os.environ, INSIDE: str(folder), "LD_PRELOAD": str(library)}
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", *python],
        env=environment | {"JAX_PLATFORMS": "cpu"},
        check=False,
    )
    shutil.rmtree(folder)
    raise SystemExit(done.returncode)


@contextmanager
def disk(place: Path, writer: Writer) -> Iterator[Path]:
    """A tmpfs with room, on which the writer has laid down what was there before."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=700", "tmpfs", str(place)], check=True)
    try:
        (place / "files").mkdir()
        writer.begin(place / "files")
        yield place / "files"
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place.parent)], check=True)


@contextmanager
def full(place: Path, blocks: int) -> Iterator[None]:
    """There is room for so many more blocks of 4 KiB."""
    found = os.statvfs(place)
    taken = (found.f_blocks - found.f_bfree) * found.f_frsize
    _remount(place, f"size={taken + 4096 * blocks}")
    try:
        yield
    finally:
        _remount(place, "size=64m")


@contextmanager
def read_only(place: Path, _: int) -> Iterator[None]:
    """Nothing can be written."""
    _remount(place, "ro")
    try:
        yield
    finally:
        _remount(place, "rw")


@contextmanager
def few_files(place: Path, more: int) -> Iterator[None]:
    """So many more files may be open than are now."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    now = max(map(int, os.listdir("/proc/self/fd"))) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (now + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


HOW = {
    "full": (full, range(BLOCKS)),
    "read_only": (read_only, range(1)),
    "few_files": (few_files, range(FILES)),
}


def fail_on_disks(name: str, place: Path) -> tuple[Counter, list[str]]:
    """(trials of each kind, faults) of one writer."""
    writer, counts, faults = WRITERS[name], Counter[str](), list[str]()
    for kind, (adversity, numbers) in HOW.items():
        for number in numbers:
            label = f"{name}, {kind} {number}"
            with disk(place, writer) as folder:
                with adversity(folder, number):
                    attempt(writer, folder, label, faults)
                judged(writer, folder, label, faults)
            counts[kind] += 1
    library = ctypes.CDLL(None)
    for number in range(MOST):
        label = f"{name}, write {number}, {errno.errorcode[CODES[number % len(CODES)]]}"
        with disk(place, writer) as folder:
            library.arm(ctypes.c_long(number), CODES[number % len(CODES)], str(folder).encode())
            attempt(writer, folder, label, faults)
            if not library.disarm():
                break
            judged(writer, folder, label, faults)
        counts["failed_writes"] += 1
    return counts, faults


def main() -> None:
    """Try and show."""
    load = os.getloadavg()[0]
    parser = argparse.ArgumentParser(prog="rpt bench disks")
    parser.add_argument("--writer", action="append", choices=list(WRITERS))
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    again_inside(Path(tempfile.mkdtemp()))
    began, rows, faults = time.monotonic(), dict[str, dict](), list[str]()
    place = Path(os.environ[INSIDE]) / "disk"
    place.mkdir()
    for name in asked.writer or list(WRITERS):
        counts, found = fail_on_disks(name, place)
        rows[name], faults = dict(counts), [*faults, *found]
        sys.stderr.write(f"{name} {rows[name]} {found}\n")
    total = sum((Counter(row) for row in rows.values()), Counter[str]())
    figures: dict[str, float] = {kind: float(count) for kind, count in total.items()}
    figures |= {"faults": len(faults), "seconds": round(time.monotonic() - began, 1)}
    show("disks", figures, BARS, load, writers=rows, faults=faults)


if __name__ == "__main__":
    main()
