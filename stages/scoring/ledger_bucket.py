"""A ledger in an object store, without locks: any number of writers, each killed at any time.

Objects are named as files are in directories, so that either can be copied to the other. Each is created in
one step, and only if there is none of its name, which holds its SHA-256: two that are told to create it write
the same bytes. That equal rows become equal bytes supposes one version of the Parquet library: writers of one
bucket have one environment. Nothing is deleted but what an object that is there repeats, row by row. So each
row that was kept stays in at least one object, and a row in two of them is read once.

Without a lock no order of writers is known to all. Where two scored a pair at the same time, the row with the
lower first half wins, then the lower second: whatever was merged with what, all readers of the same rows
agree.

What was read is kept in a cache on this machine, by name; each use checks it by the digest in that. Processes
share it without a lock: files appear whole and are not removed. You may remove it whenever nothing runs.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from data_contracts.failure import Exit, Failure
from stages.identity.digest import short_digest
from stages.scoring import ledger_files
from stages.scoring.ledger_files import Merge, Write, explained, file_name, is_intact
from stages.stores.object_store import ObjectStore

LISTINGS = 20  # of a folder that others merge, before it is said to change too fast to be read
PAGE = 1000  # objects that any store lists as they are at one moment
OBJECT = re.compile(r"[0-9]{10}-[0-9a-f]{64}\.parquet")
COPIES = 10  # names under which rows are kept where objects of the names before are corrupt


def cache_directory(url: str) -> Path:
    """Where objects of a ledger are kept on this machine: `$XDG_CACHE_HOME/rpt/ledger/DIGEST OF THE URL`."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "rpt" / "ledger" / short_digest(url)


class Bucket:
    """`URL/SCORER/DIGIT/` of an object store."""

    ordered = False

    def __init__(self, url: str):
        self.store, self.cache = ObjectStore(url), cache_directory(url)

    def scorers(self) -> list[str]:
        """The digests of all scorers, sorted."""
        return sorted({name.partition("/")[0] for name in self.store.sizes() if name.count("/") == 2})

    def digits(self, scorer: str) -> list[str]:
        """The first digits of all documents of a scorer, sorted."""
        return sorted({name.split("/")[1] for name in self.store.sizes(scorer)})

    def folder(self, scorer: str, digit: str) -> Prefix:
        """The files of a scorer and a digit, whether there are any or not."""
        return Prefix(self.store, f"{scorer}/{digit}", self.cache / scorer / digit)


class Prefix:
    """The objects below one prefix. Its methods are those of `Folder`."""

    def __init__(self, store: ObjectStore, folder: str, cache: Path):
        self.store, self.folder, self.cache = store, folder, cache

    @contextlib.contextmanager
    def held(self) -> Iterator[list[Path]]:
        """Copies of objects that together have every row that was kept before this was called.

        One that a merge has deleted since it was listed makes this list again; so do several pages of names,
        until two listings agree.
        """
        before = list[str]()
        for _ in range(LISTINGS):
            names = list(self._sizes())
            if self._copied(names) == names and (len(names) < PAGE or names == before):
                yield [self.cache / name for name in names]
                return
            before = names
        raise Failure(
            f"{self.store.url}/{self.folder}: cannot be read",
            f"others merged its objects during each of {LISTINGS} readings",
            "run again when fewer write to it",
            Exit.ENVIRONMENT,
        )

    def append(self, write: Write, merge: Merge) -> None:
        """One new object, and perhaps a merge."""
        self._put(write)
        small = {name: size for name, size in self._sizes().items() if size < ledger_files.FULL_BYTES}
        if len(small) > ledger_files.MAX_FILES:
            self._merge(self._copied(_that_fill_one(small)), merge)

    def set_aside(self, path: Path) -> str:
        """Nothing: a copy that is not intact is asked for again by the next reading, and another process of
        this machine may be reading it. The object stays, which another object makes up for.
        """
        return f"{self.store.url}/{self.folder}/{path.name} is not used"

    def corrupt(self) -> list[str]:
        """The names of corrupt objects."""
        with self.held() as files:
            return [path.name for path in files if not is_intact(path)]

    def _sizes(self) -> dict[str, int]:
        """Name -> bytes of the ledger's own objects; others may lie beside them."""
        found = self.store.sizes(self.folder)
        names = {name.removeprefix(f"{self.folder}/"): size for name, size in found.items()}
        return {name: size for name, size in names.items() if OBJECT.fullmatch(name)}

    def _copied(self, names: list[str]) -> list[str]:
        """Those of the names that are in the cache after those that were not have been asked for."""
        with explained(self.cache):
            self.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
            # a copy that went bad is asked for again, so that what stays bad is so in the store
            lacking = [
                name for name in names if not (self.cache / name).exists() or not is_intact(self.cache / name)
            ]
            there = self.store.fetch(
                [f"{self.folder}/{name}" for name in lacking], [self.cache / name for name in lacking]
            )
        gone = {name for name, found in zip(lacking, there, strict=True) if not found}
        return [name for name in names if name not in gone]

    def _put(self, write: Write) -> str:
        """Keep what `write` writes; returns its name once an object of its bytes is known to be there."""
        with explained(self.cache), self._folder() as place:
            file = Path(place) / "rows"
            write(file)
            for number in range(COPIES):
                name = file_name(number, file)
                if self.store.put_if_absent(f"{self.folder}/{name}", file.read_bytes()):
                    file.replace(self.cache / name)
                    return name
                if self._is_kept(name):
                    return name
        raise Failure(
            f"{self.store.url}/{self.folder}: rows cannot be kept",
            f"{COPIES} objects of their name are corrupt",
            "delete these objects; `./rpt ledger stats` names them",
            Exit.CONTRACT,
        )

    @contextlib.contextmanager
    def _folder(self) -> Iterator[str]:
        """A folder of one process, which lives as long as it writes."""
        self.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=self.cache) as place:
            yield place

    def _is_kept(self, name: str) -> bool:
        """Whether the store has the bytes that a name promises, or had them and merged them: only objects
        that were read are deleted.
        """
        place = self.cache / name
        (there,) = self.store.fetch([f"{self.folder}/{name}"], [place])
        return not there or is_intact(place)

    def _merge(self, names: list[str], merge: Merge) -> None:
        """Write the rows of some objects as one, then delete those that could be read. Others may do the same
        at the same time.
        """
        read, write = merge([self.cache / name for name in names])
        merged = self._put(write) if read else None
        for path in read:
            if path.name != merged:
                self.store.delete(f"{self.folder}/{path.name}")


def _that_fill_one(sizes: dict[str, int]) -> list[str]:
    """The smallest objects, at least two, as many as make about one full one: what a merge holds in memory
    has a limit.
    """
    names = sorted(sizes, key=lambda name: (sizes[name], name))
    total = list(itertools.accumulate(sizes[name] for name in names))
    return [
        name for place, name in enumerate(names) if place < 2 or total[place] <= 2 * ledger_files.FULL_BYTES
    ]
