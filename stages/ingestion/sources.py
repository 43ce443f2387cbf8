"""The files of a corpus, wherever fsspec finds them: a path, directory or glob, `gs://...`, `hf://datasets/...`; or `python-stdlib`."""

from __future__ import annotations

import io
import os
import sysconfig
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import fsspec
from fsspec.core import url_to_fs

from data_contracts.failure import Exit, Failure
from stages.parameters import Corpus

STDLIB = "python-stdlib"
STDLIB_SKIPPED = {"test", "tests", "idle_test", "site-packages", "__pycache__", "encodings", "pydoc_data", "lib-dynload"}
# gcsfs would ask another service for the kind of the bucket first, and wait a minute where that may not be asked; reading needs no answer.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
CONTENT_IDENTITIES = ("generation", "blob_id", "ETag", "etag")


@dataclass(frozen=True)
class SourceFile:
    """One file of a source: `name` is relative to the source and the same on every machine, `url` opens it, `bytes` is its size.

    `identity` is what a remote store says of its content (GCS generation, Hugging Face blob, S3 tag), None for a local file.
    """

    name: str
    url: str
    bytes: int
    identity: str | None = None


class _Raw(io.RawIOBase):
    """A file whose own failures (a network, a permission) are the environment's fault and never taken for a fault of its content."""

    def __init__(self, file: SourceFile) -> None:
        self.name = file.name
        try:
            self.stream = fsspec.open(file.url, "rb").open()
        except Exception as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> Failure:
        cause = f"{type(error).__name__}: {error}"[:500]
        return Failure(f"{self.name} cannot be read", cause, "check the network, the credentials and the permissions", Exit.ENVIRONMENT)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.stream.seek(offset, whence)

    def tell(self) -> int:
        return self.stream.tell()

    def readinto(self, buffer: Any) -> int:
        try:
            data = self.stream.read(len(buffer))
        except Exception as error:
            raise self._failure(error) from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if hasattr(self, "stream"):
            self.stream.close()
        super().close()


def open_binary(file: SourceFile) -> io.BufferedReader:
    """The bytes of a source file.

    Raises:
        Failure: (exit code 5), now or while reading, if the file system fails.
    """
    return io.BufferedReader(_Raw(file), 2**20)


def source_files(corpus: Corpus) -> list[SourceFile]:
    """The files of a source that match `corpus.include`, sorted by name.

    Raises:
        Failure: (exit code 2) if there is none, (5) if the file system cannot be reached.
    """
    files = _stdlib_files() if corpus.source == STDLIB else _found(corpus.source)
    kept = [file for file in files if not corpus.include or any(fnmatchcase(file.name, pattern) for pattern in corpus.include)]
    if not kept:
        cause = f"no file matches {corpus.source!r} (relative paths count from the project's root)"
        if files:
            cause = f"none of the {len(files)} files at {corpus.source!r} matches corpora.<name>.include {list(corpus.include)}"
        raise Failure("the corpus has no input", cause, "set corpora.<name>.source to a file, directory, glob or URL", Exit.USAGE)
    return sorted(kept, key=lambda file: file.name)


def _stdlib_files() -> list[SourceFile]:
    root = Path(sysconfig.get_paths()["stdlib"])
    paths = [path for path in root.rglob("*.py") if not STDLIB_SKIPPED.intersection(path.relative_to(root).parts)]
    return [SourceFile(path.relative_to(root).as_posix(), str(path), path.stat().st_size) for path in paths]


def _found(source: str) -> list[SourceFile]:
    try:
        system, place = url_to_fs(str(Path(source).expanduser()) if "://" not in source else source)
        found, root = _listing(system, place)
    except (ImportError, ValueError) as error:
        remedy = "use a path, gs://, hf://datasets/... or another protocol of fsspec whose package is installed"
        raise Failure(f"corpora.<name>.source {source!r}", str(error), remedy, Exit.USAGE) from error
    except FileNotFoundError:
        return []
    except Exception as error:
        cause, remedy = f"{type(error).__name__}: {error}"[:500], "check the network and the credentials"
        raise Failure(f"corpora.<name>.source {source!r} cannot be listed", cause, remedy, Exit.ENVIRONMENT) from error
    return [
        SourceFile(path[len(root) :].lstrip("/"), system.unstrip_protocol(path), int(info["size"] or 0), _identity(info))
        for path, info in found.items()
        if info["type"] == "file"
    ]


def _listing(system: fsspec.AbstractFileSystem, place: str) -> tuple[dict[str, dict], str]:
    """Path -> details of what a path, directory or glob names, and the folder that names are relative to."""
    if system.isfile(place):
        return {place: system.info(place)}, system._parent(place)
    if system.isdir(place):
        return system.find(place, detail=True), place.rstrip("/")
    parts = place.split("/")
    magic = next((number for number, part in enumerate(parts) if set(part) & set("*?[")), len(parts) - 1)
    return system.glob(place, detail=True), "/".join(parts[:magic])


def _identity(info: dict) -> str | None:
    return next((f"{key}:{info[key]}" for key in CONTENT_IDENTITIES if info.get(key)), None)
