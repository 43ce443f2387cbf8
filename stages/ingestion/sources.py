"""The files of a corpus: a path, directory or glob of this machine, `gs://...`, `hf://datasets/...` and
whatever else fsspec finds; or `python-stdlib`."""

from __future__ import annotations

import glob
import io
import os
import sysconfig
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_contracts.failure import Exit, Failure
from stages.ingestion.data_files import beside_data
from stages.ingestion.local_files import MARKS, Entry, local_entries
from stages.parameters import Corpus

if TYPE_CHECKING:
    import fsspec

STDLIB = "python-stdlib"
STDLIB_SKIPPED = {
    "test",
    "tests",
    "idle_test",
    "site-packages",
    "__pycache__",
    "encodings",
    "pydoc_data",
    "lib-dynload",
}
CONTENT_IDENTITIES = ("generation", "blob_id", "ETag", "etag")


@dataclass(frozen=True)
class SourceFile:
    """One file of a source: `name` is relative to the source and the same on every machine, `url` opens it,
    `bytes` is its size.

    `identity` is what a remote store says of its content (GCS generation, Hugging Face blob, S3 tag), None
    for a local file, whose `url` is its path. `refusal` is (reason, detail) of what is listed and not read:
    then nothing of its content counts.
    """

    name: str
    url: str
    bytes: int
    identity: str | None = None
    refusal: tuple[str, str] | None = None


def refused(file: SourceFile, reason: str, detail: str) -> SourceFile:
    """`file` as one that is not read: its content may change without a trace."""
    return replace(file, bytes=0, identity=f"{reason}: {detail}", refusal=(reason, detail))


class _Raw(io.RawIOBase):
    """A file whose own failures (a network, a permission) are the environment's fault and never taken for a
    fault of its content.
    """

    def __init__(self, file: SourceFile) -> None:
        self.name = file.name
        try:
            self.stream = _opened(file.url)
        except Exception as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> Failure:
        cause = f"{type(error).__name__}: {error}"[:500]
        return Failure(
            f"{self.name} cannot be read",
            cause,
            "check the network, the credentials and the permissions",
            Exit.ENVIRONMENT,
        )

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


def _opened(url: str) -> Any:
    """A stream of bytes. The URL is given to its file system as it is: `::` in a name chains nothing, and `*`
    is no pattern.
    """
    if "://" not in url:
        return open(url, "rb", buffering=0)
    from fsspec.core import get_filesystem_class, split_protocol  # dear, and few corpora need it

    protocol, _ = split_protocol(url)
    system = get_filesystem_class(protocol)
    return system(**system._get_kwargs_from_urls(url)).open(url, "rb")


def open_binary(file: SourceFile) -> io.BufferedReader:
    """The bytes of a source file.

    Raises:
        Failure: (exit code 5), now or while reading, if the file system fails.
    """
    return io.BufferedReader(_Raw(file), 2**20)


def source_files(corpus: Corpus) -> list[SourceFile]:
    """The files of a source that match `corpus.include`, sorted by name; those that are no data have a
    `refusal`.

    Raises:
        Failure: (exit code 2) if there is none, (5) if the file system cannot be reached.
    """
    files = _stdlib_files() if corpus.source == STDLIB else _found(corpus.source)
    kept = [
        file
        for file in files
        if not corpus.include or any(fnmatchcase(file.name, pattern) for pattern in corpus.include)
    ]
    if corpus.source != STDLIB and corpus.group == "file" and not corpus.include and len(files) > 1:
        kept = _data_only(kept)
    if all(file.refusal for file in kept):
        cause = f"no file matches {corpus.source!r} (relative paths count from the project's root)"
        if Path(corpus.source).is_dir():
            cause = f"the directory {corpus.source!r} holds no file"
        if kept:
            cause = (
                f"none of the {len(kept)} entries is data, first: {kept[0].name}"
                f" ({kept[0].refusal and kept[0].refusal[1]})"
            )
        elif files:
            cause = (
                f"none of the {len(files)} files at {corpus.source!r} matches corpora.<name>.include"
                f" {list(corpus.include)}"
            )
        raise Failure(
            "the corpus has no input",
            cause,
            "set corpora.<name>.source to a file, directory, glob or URL",
            Exit.USAGE,
        )
    return sorted(kept, key=lambda file: file.name)


def _stdlib_files() -> list[SourceFile]:
    root = Path(sysconfig.get_paths()["stdlib"])
    paths = [
        path for path in root.rglob("*.py") if not STDLIB_SKIPPED.intersection(path.relative_to(root).parts)
    ]
    return [SourceFile(path.relative_to(root).as_posix(), str(path), path.stat().st_size) for path in paths]


def _data_only(files: list[SourceFile]) -> list[SourceFile]:
    """All of `files`; those that only lie beside data are refused."""
    why = beside_data({file.name: file.bytes for file in files if not file.refusal})
    remedy = "corpora.<name>.include names it if it is to be read"
    return [
        refused(file, "not_data", f"{why[file.name]}; {remedy}") if file.name in why else file
        for file in files
    ]


def _found(source: str) -> list[SourceFile]:
    try:
        if source.startswith("file://") or "://" not in source:
            return [_local_file(entry) for entry in local_entries(source.removeprefix("file://"))]
        from fsspec.core import url_to_fs

        system, place = url_to_fs(source)
        found, root = _listing(system, place)
    except (ImportError, ValueError) as error:
        remedy = (
            "use a path, gs://, hf://datasets/... or another protocol of fsspec whose package is installed"
        )
        raise Failure(f"corpora.<name>.source {source!r}", str(error), remedy, Exit.USAGE) from error
    except FileNotFoundError:
        return []
    except Exception as error:
        cause, remedy = f"{type(error).__name__}: {error}"[:500], "check the network and the credentials"
        raise Failure(
            f"corpora.<name>.source {source!r} cannot be listed", cause, remedy, Exit.ENVIRONMENT
        ) from error
    files = [
        SourceFile(
            path[len(root) :].lstrip("/"),
            system.unstrip_protocol(path),
            int(info["size"] or 0),
            _identity(info),
        )
        for path, info in found.items()
        if info["type"] == "file"
    ]
    return files if len(files) == 1 else _visible_only(files)


def _local_file(entry: Entry) -> SourceFile:
    if entry.refusal:
        return refused(SourceFile(entry.name, entry.path, 0), *entry.refusal)
    return SourceFile(entry.name, entry.path, os.path.getsize(entry.path))


def _visible_only(files: list[SourceFile]) -> list[SourceFile]:
    """All of `files`, the hidden ones refused, of those in one hidden folder only that folder."""
    visible, hidden = list[SourceFile](), dict[str, SourceFile]()
    for file in files:
        parts = file.name.split("/")
        number = next((number for number, part in enumerate(parts) if part.startswith(".")), None)
        if number is None:
            visible.append(file)
        else:
            kind = "file" if number == len(parts) - 1 else "folder"
            name = "/".join(parts[: number + 1])
            hidden[name] = refused(replace(file, name=name), "not_data", f"a hidden {kind}")
    return [*visible, *hidden.values()]


def _listing(system: fsspec.AbstractFileSystem, place: str) -> tuple[dict[str, dict], str]:
    """Path -> details of what a path, directory or glob names, and the folder that names are relative to."""
    if system.isfile(place):
        return {place: system.info(place)}, system._parent(place)
    if system.isdir(place):
        return system.find(place, detail=True), place.rstrip("/")
    parts = place.split("/")
    magic = next((number for number, part in enumerate(parts) if set(part) & MARKS), len(parts) - 1)
    while magic < len(parts) - 1 and system.exists("/".join(parts[: magic + 1])):
        magic = next(
            (number for number in range(magic + 1, len(parts)) if set(parts[number]) & MARKS), len(parts) - 1
        )
    known = "/".join(parts[:magic])
    return system.glob("/".join([glob.escape(known), *parts[magic:]]), detail=True), known


def _identity(info: dict) -> str | None:
    return next((f"{key}:{info[key]}" for key in CONTENT_IDENTITIES if info.get(key)), None)
