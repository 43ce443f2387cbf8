"""Where text comes from: every input record of a source, good or bad, in a fixed order.

A source is `python-stdlib` or files: text (one document each), JSONL (one a line, `.gz` too) and Parquet (one a row). What cannot be
read is yielded as a rejection with a reason, never dropped and never raised.
"""

from __future__ import annotations

import glob
import gzip
import json
import sysconfig
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data_contracts.failure import Exit, Failure
from stages.parameters import Corpus

STDLIB = "python-stdlib"
STDLIB_SKIPPED = {"test", "tests", "idle_test", "site-packages", "__pycache__", "encodings", "pydoc_data", "lib-dynload"}
STDLIB_DOCUMENT_CHARS = 24_000
PARQUET_BATCH_ROWS = 64


@dataclass(frozen=True)
class SourceFile:
    """One file of a source; `name` is relative to the source and the same on every machine."""

    name: str
    path: Path


@dataclass(frozen=True)
class Record:
    """One input: `text` if it could be read, else a `reason` with `detail`."""

    source: str
    position: int
    text: str | None = None
    license: str = ""
    reason: str = ""
    detail: str = ""
    excerpt: str = ""


def source_files(corpus: Corpus) -> list[SourceFile]:
    """The files of a source, sorted by name.

    Raises:
        Failure: (exit code 2) if there is none.
    """
    if corpus.source == STDLIB:
        root = Path(sysconfig.get_paths()["stdlib"])
        paths = [path for path in root.rglob("*.py") if not STDLIB_SKIPPED.intersection(path.relative_to(root).parts)]
    else:
        pattern = Path(corpus.source).expanduser()
        if pattern.is_dir():
            root, paths = pattern, list(pattern.rglob("*"))
        elif pattern.exists():
            root, paths = pattern.parent, [pattern]
        else:
            paths = [Path(path) for path in glob.glob(str(pattern), recursive=True)]
            root = _fixed_part(pattern)
    files = sorted((SourceFile(path.relative_to(root).as_posix(), path) for path in paths if path.is_file()), key=lambda file: file.name)
    if not files:
        cause = f"no file matches {corpus.source!r} (relative paths count from the project's root)"
        raise Failure("the corpus has no input", cause, "set corpora.<name>.source to a file, directory or glob", Exit.USAGE)
    return files


def _fixed_part(pattern: Path) -> Path:
    parts = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        parts.append(part)
    return Path(*parts)


def records(corpus: Corpus, files: Iterable[SourceFile]) -> Iterator[Record]:
    """Every record of every file, in order."""
    if corpus.source == STDLIB:
        yield from _stdlib_documents(files)
        return
    for file in files:
        suffixes = [suffix.lower() for suffix in file.path.suffixes]
        if suffixes[-1:] == [".parquet"]:
            yield from _parquet(file, corpus.text_column)
        elif suffixes[-1:] == [".jsonl"] or suffixes[-2:] == [".jsonl", ".gz"]:
            yield from _jsonl(file, corpus.text_column)
        else:
            yield _text(file)


def _text(file: SourceFile) -> Record:
    raw = file.path.read_bytes()
    try:
        return Record(file.name, 0, raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Record(file.name, 0, reason="invalid_utf8", detail=f"byte {error.start} of {len(raw)}: {error.reason}", excerpt=_bytes(raw))


def _bytes(raw: bytes) -> str:
    return raw[:200].decode("utf-8", "replace")


def _jsonl(file: SourceFile, column: str) -> Iterator[Record]:
    try:
        with gzip.open(file.path, "rb") if file.path.suffix.lower() == ".gz" else open(file.path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _jsonl_record(file.name, number, line, column)
    except (OSError, EOFError, zlib.error) as error:
        yield Record(file.name, 0, reason="unreadable", detail=f"{type(error).__name__}: {error}")


def _jsonl_record(name: str, number: int, line: bytes, column: str) -> Record:
    try:
        item = json.loads(line)
    except UnicodeDecodeError as error:
        return Record(name, number, reason="invalid_utf8", detail=f"byte {error.start}: {error.reason}", excerpt=_bytes(line))
    except (ValueError, RecursionError) as error:
        return Record(name, number, reason="unreadable", detail=f"not JSON: {error}", excerpt=_bytes(line))
    if not isinstance(item, dict) or not isinstance(item.get(column), str):
        return Record(name, number, reason="not_text", detail=f"no string in field {column!r}", excerpt=_bytes(line))
    return Record(name, number, item[column], str(item.get("license") or ""))


def _parquet(file: SourceFile, column: str) -> Iterator[Record]:
    try:
        reader = pq.ParquetFile(file.path)
        names = reader.schema_arrow.names
        kind = reader.schema_arrow.field(column).type if column in names else None
        if kind is None or not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            found = f"column {column!r} is {kind}" if kind else f"no column {column!r}, found {names}"
            yield Record(file.name, 0, reason="not_text", detail=found)
            return
        wanted = [column, "license"] if "license" in names else [column]
        position = 0
        for batch in reader.iter_batches(PARQUET_BATCH_ROWS, columns=wanted):
            for row in batch.to_pylist():
                position += 1
                if row[column] is None:
                    yield Record(file.name, position, reason="not_text", detail=f"null in column {column!r}")
                else:
                    yield Record(file.name, position, row[column], str(row.get("license") or ""))
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        yield Record(file.name, 0, reason="unreadable", detail=f"{type(error).__name__}: {error}"[:500])


def _stdlib_documents(files: Iterable[SourceFile]) -> Iterator[Record]:
    """Modules of one package joined in path order into documents of a few training sequences, as CodeParrot joins a repository."""
    package, names, pieces = "", list[str](), list[str]()
    for file in files:
        record = _text(file)
        if record.text is None:
            yield record
            continue
        top = file.name.split("/")[0] if "/" in file.name else "(modules)"
        if pieces and (top != package or sum(map(len, pieces)) >= STDLIB_DOCUMENT_CHARS):
            yield Record(f"{names[0]} .. {names[-1]}", 0, "".join(pieces), "PSF-2.0")
            names, pieces = [], []
        package = top
        names.append(file.name)
        pieces.append(f"# file: {file.name}\n{record.text}\n")
    if pieces:
        yield Record(f"{names[0]} .. {names[-1]}", 0, "".join(pieces), "PSF-2.0")
