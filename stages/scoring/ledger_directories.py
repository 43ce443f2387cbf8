"""A ledger in directories, which may be shared by processes and by checkouts of one file system.

A directory has one lock, which the kernel frees when its holder dies. An append is one new file, numbered
after all others; the lowest number wins where two writers scored a pair. Killed at any point a writer leaves
a hidden file, which is overwritten, or, when merging, old files beside the one that repeats them, which
changes no answer.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from data_contracts.failure import Exit, Failure
from stages.scoring import ledger_files
from stages.scoring.ledger_files import Merge, Write, file_name, is_intact, number_of


class Directories:
    """`ROOT/SCORER/DIGIT/` of this machine."""

    ordered = True

    def __init__(self, root: Path):
        self.root = root

    def scorers(self) -> list[str]:
        """The digests of all scorers, sorted."""
        return sorted(path.name for path in self.root.glob("[0-9a-f]*") if path.is_dir())

    def digits(self, scorer: str) -> list[str]:
        """The first digits of all documents of a scorer, sorted."""
        return sorted(path.name for path in (self.root / scorer).iterdir() if path.is_dir())

    def folder(self, scorer: str, digit: str) -> Directory:
        """The files of a scorer and a digit, whether there are any or not."""
        return Directory(self.root / scorer / digit)


class Directory:
    """The files of one directory. Its methods are those of `Folder`."""

    def __init__(self, directory: Path):
        self.directory = directory

    @contextlib.contextmanager
    def held(self) -> Iterator[list[Path]]:
        """The files, oldest first, under the lock; none and no lock where there is no directory."""
        if not self.directory.is_dir():
            yield []
            return
        with self._lock():
            yield self._files()

    def append(self, write: Write, merge: Merge) -> None:
        """One new file, and perhaps a merge, under one lock."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with self._lock():
            files = self._files()
            files.append(self._publish(write, number_of(files[-1]) + 1 if files else 0))
            newest = _not_full(files)
            if len(newest) > ledger_files.MAX_FILES:
                self._merge(newest, merge)

    def set_aside(self, path: Path) -> str:
        """Rename it, so that its bytes can be looked at."""
        path.replace(path.with_name(f"{path.name}.corrupt"))
        return "set aside as *.corrupt"

    def corrupt(self) -> list[str]:
        """The names of corrupt files, those set aside too."""
        with self.held() as files:
            found = [path.name for path in files if not is_intact(path)]
        return sorted(found + [path.name for path in self.directory.glob("*.corrupt")])

    def _files(self) -> list[Path]:
        return sorted(self.directory.glob("[0-9]*.parquet"))

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(open(self.directory / "lock", "ab"))
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                remedy = (
                    "set runtime.ledger to a directory that you may write to, on a file system with locks"
                )
                raise Failure(
                    f"{self.directory} of the ledger cannot be locked",
                    str(error.strerror),
                    remedy,
                    Exit.ENVIRONMENT,
                ) from error
            yield

    def _publish(self, write: Write, number: int) -> Path:
        """Write one file under the lock; it has its name, and so exists, only when it is whole."""
        for leftover in self.directory.glob("..next.*.tmp"):
            leftover.unlink()
        hidden = self.directory / ".next"
        write(hidden)
        return hidden.replace(self.directory / file_name(number, hidden))

    def _merge(self, files: list[Path], merge: Merge) -> None:
        """Replace consecutive files by one that comes where the first of them came."""
        read, write = merge(files)
        merged = self._publish(write, number_of(files[0])) if read else None
        for path in read:
            if path != merged:
                path.unlink(missing_ok=True)


def _not_full(files: list[Path]) -> list[Path]:
    """The newest files, back to the last full one: merging only neighbours keeps the first writer's row the
    first.
    """
    full = [place for place, path in enumerate(files) if path.stat().st_size >= ledger_files.FULL_BYTES]
    return files[full[-1] + 1 if full else 0 :]
