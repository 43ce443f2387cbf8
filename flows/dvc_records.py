"""The two files that DVC writes in place: which process reads and writes what (rwlock), and what each stage
made of what (dvc.lock).

A kill in between leaves half a file, and DVC then refuses to do anything until a person removes it. So a copy
of dvc.lock is kept after every stage, and half a file is put aside. Nothing is lost that way: what the copy
lacks is restored from DVC's cache of runs.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from data_contracts.whole_files import write_atomically

LOCK = Path("dvc.lock")
COPY = Path(".run/dvc.lock")
DAMAGED = Path(".run/dvc.lock.damaged")  # with a number after it
USERS = Path(".dvc/tmp/rwlock")


def keep(root: Path) -> None:
    """Keep a copy of dvc.lock, which is whole now: a stage has ended."""
    if (root / LOCK).exists():
        write_atomically(root / COPY, (root / LOCK).read_bytes())


def put_aside(root: Path, file: Path) -> str | None:
    """Replace a damaged `file`, LOCK or USERS, by what was known before it; a sentence that says so, or None
    if a person must decide.

    That is so for a dvc.lock that is not cut off, such as one with the marks of a merge: it is damaged, but
    not by a kill.
    """
    if file == USERS:
        (root / USERS).unlink()
        return f"{USERS} was half written, by a DVC that was killed, and is removed"
    if not _half((root / LOCK).read_bytes()):
        return None
    aside = next(
        place for number in itertools.count(1) if not (root / (place := Path(f"{DAMAGED}.{number}"))).exists()
    )
    (root / aside).parent.mkdir(mode=0o700, exist_ok=True)
    os.replace(root / LOCK, root / aside)
    if not (root / COPY).exists():
        return (
            f"{LOCK} was half written, by a DVC that was killed, and is now {aside}; what it knew is looked"
            " up in DVC's cache"
        )
    write_atomically(root / LOCK, (root / COPY).read_bytes())
    return (
        f"{LOCK} was half written, by a DVC that was killed; it is now as it was after an earlier stage, and"
        f" the half is {aside}"
    )


def _half(lock: bytes) -> bool:
    """Whether it was cut off. What ends in the middle of a line was; a whole file that DVC refuses, as after
    a merge, is a person's.
    """
    if any(line.startswith(b"<<<<<<<") for line in lock.splitlines()):
        return False
    try:
        return not lock.endswith(b"\n") or not YAML(typ="safe").load(lock)
    except YAMLError:
        return True
