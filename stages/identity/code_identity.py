"""The code of a stage: every file of this checkout that its imports reach, and one digest over what these
files mean.

Two versions of the code with equal digests do the same at run time, so that an artifact or a half-finished
stage of one serves the other. What was read of a file is kept in `.run/code-cache.json` until its size or
time changes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from data_contracts.failure import Exit, Failure
from data_contracts.whole_files import write_atomically
from stages.identity import code_meaning
from stages.identity.code_meaning import meaning

CHECKOUT = Path(__file__).resolve().parents[2]  # whose code this process runs
CACHE = Path(".run/code-cache.json")

# These decide where and how a stage runs, and not what is written; nor does what only they import.
RUNNERS = frozenset(
    {
        "stages/__init__.py",
        "stages/devices.py",
        "stages/training/event_file.py",
        "stages/training/tracker.py",
        "stages/training/wandb_tracker.py",
        "stages/runner/interruption.py",
        "stages/ingestion/inventory.py",
        "stages/runner/messages.py",
        "stages/parameters/__init__.py",
        "stages/runner/ray_map.py",
        "stages/runner/ray_workers.py",
        "stages/runner/stage.py",
        "stages/training/log.py",
    }
)
# How pages look, not what they say: a page keeps the looks that it was made with until its words or figures
# change.
LOOKS = frozenset({"reports/html/style.py"})
LEFT_OUT = RUNNERS | LOOKS


class Known(NamedTuple):
    """A file as it was when it was read: its size and time, 16 hex digits of its meaning, and the names that
    it imports.
    """

    size: int
    time: int
    digest: str
    names: list[str]


class Code:
    """The code below `root`, each file read at most once; `remember` keeps what was read for the next
    process.
    """

    def __init__(self, root: Path):
        self._root = root
        self._version = hashlib.sha256(Path(code_meaning.__file__).read_bytes()).hexdigest()
        self._kept = self._from_cache()
        self._read = dict[str, Known]()
        self._found = dict[str, set[str]]()

    def files(self, *modules: str) -> dict[str, str]:
        """Path below the root -> 16 hex digits of its meaning, for all that importing `modules` can run but
        `LEFT_OUT`, in order.

        A module that is named only in a string is not followed.

        Raises:
            Failure: (exit code 2) for a file that is not Python.
            ValueError: for a module that is not below the root.
        """
        if unknown := [
            name for name in modules if not (self._root / f"{name.replace('.', '/')}.py").is_file()
        ]:
            raise ValueError(f"no such module: {', '.join(unknown)}")
        closure, pending = set[str](), set[str]().union(*map(self._paths, modules))
        while pending:
            path = pending.pop()
            closure.add(path)
            pending |= set().union(*map(self._paths, self._known(path).names)) - closure
        return {path: self._known(path).digest for path in sorted(closure)}

    def digest(self, *modules: str) -> str:
        """64 hex digits over `files`."""
        return hashlib.sha256(as_lines(self.files(*modules)).encode()).hexdigest()

    def remember(self) -> None:
        """Write the cache, if anything was read that it does not hold."""
        known = self._kept | self._read
        if known != self._kept:
            place = self._root / CACHE
            place.parent.mkdir(exist_ok=True)
            write_atomically(place, json.dumps({"version": self._version, "files": known}).encode())

    def _from_cache(self) -> dict[str, Known]:
        """What an earlier process has read; nothing if the cache is damaged, or was written by another way of
        reading.
        """
        try:
            cache = json.loads((self._root / CACHE).read_bytes())
            return (
                {path: Known(*row) for path, row in cache["files"].items()}
                if cache["version"] == self._version
                else {}
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _known(self, path: str) -> Known:
        if path not in self._read:
            file = self._root / path
            size, time = file.stat().st_size, file.stat().st_mtime_ns
            kept = self._kept.get(path)
            self._read[path] = kept if kept and kept[:2] == (size, time) else Known(size, time, *_read(file))
        return self._read[path]

    def _paths(self, name: str) -> set[str]:
        """The files that Python runs to import `name`: its own and those of its packages; none for
        a library.
        """
        if name not in self._found:
            parts = name.split(".")
            packages = ["/".join([*parts[:depth], "__init__.py"]) for depth in range(1, len(parts) + 1)]
            there = {path for path in (*packages, f"{'/'.join(parts)}.py") if (self._root / path).is_file()}
            self._found[name] = there - LEFT_OUT
        return self._found[name]


def _read(file: Path) -> tuple[str, list[str]]:
    try:
        found = meaning(file.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise Failure(
            f"{file} cannot be run", f"line {error.lineno}: {error.msg}", "mend it and run again", Exit.USAGE
        ) from error
    return digest_of(found.text), found.names


def digest_of(text: str) -> str:
    """16 hex digits of what a file means."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def as_lines(files: dict[str, str]) -> str:
    """One line a file, its digest first."""
    return "".join(f"{digest} {path}\n" for path, digest in files.items())


def code_digest(root: Path, *modules: str) -> str:
    """64 hex digits over what the files that importing `modules` can run mean; raises like `Code.files`."""
    code = Code(root)
    digest = code.digest(*modules)
    code.remember()
    return digest
