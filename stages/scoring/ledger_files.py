"""The files of a ledger: what they are called, and what a place that keeps them must do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from data_contracts.failure import Exit, Failure
from data_contracts.whole_files import sha256

MAX_FILES = 64
FULL_BYTES = 16 * 2**20  # about 1.7 million rows; a file of this size is not merged again

Write = Callable[[Path], object]
# Some files -> those of them that can be read, and what writes all their rows as one file.
Merge = Callable[[list[Path]], tuple[list[Path], Write]]


class Folder(Protocol):
    """The files of one scorer whose documents begin with one digit."""

    def held(self) -> AbstractContextManager[list[Path]]:
        """All files, in order of their names, which nobody takes away meanwhile.

        Raises:
            Failure: (exit code 5) if the place cannot be reached or locked.
        """
        ...

    def append(self, write: Write, merge: Merge) -> None:
        """Keep the file that `write` writes; where there are many, replace some by one that `merge` makes of
        them. Raises as `held` says.
        """
        ...

    def set_aside(self, path: Path) -> str:
        """See to it that a corrupt file is not asked again and again; returns what was done."""
        ...

    def corrupt(self) -> list[str]:
        """The names of corrupt files, those set aside too."""
        ...


class FileStore(Protocol):
    """The place of a ledger. `ordered`: the first file that has a pair is the first that was appended."""

    ordered: bool

    def scorers(self) -> list[str]:
        """The digests of all scorers, sorted."""
        ...

    def digits(self, scorer: str) -> list[str]:
        """The first digits of all documents of a scorer, sorted."""
        ...

    def folder(self, scorer: str, digit: str) -> Folder:
        """The files of a scorer and a digit, whether there are any or not."""
        ...


@contextmanager
def explained(place: Path) -> Iterator[None]:
    """Errors of the operating system below a directory as a Failure (exit code 5) that names it."""
    try:
        yield
    except OSError as error:
        raise Failure(
            f"{place} of the ledger cannot be used",
            f"{error.strerror or error}: {error.filename or place}",
            "make room or give yourself the right to write there, then run again: what was kept is not lost",
            Exit.ENVIRONMENT,
        ) from error


def file_name(number: int, path: Path) -> str:
    """What a file is called: its number and the SHA-256 of its bytes."""
    return f"{number:010d}-{sha256(path)}.parquet"


def number_of(path: Path) -> int:
    """The number in a file's name."""
    return int(path.name.partition("-")[0])


def is_intact(path: Path) -> bool:
    """Whether a file's bytes are those that its name promises."""
    return path.stem.endswith(f"-{sha256(path)}")
