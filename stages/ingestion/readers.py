"""Inputs of a source file, read as a stream: text (one document), JSONL (one a line), Parquet (one a row), each also `.gz` or `.zst`.

What cannot be read is a rejection with a reason, never dropped and never raised; memory does not depend on the size of a file.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from stages.ingestion.sources import SourceFile, open_binary
from stages.parameters import Corpus

BLOCK_BYTES = 4 * 2**20
MAX_LINE_BYTES = 128 * 2**20
UNREADABLE = (OSError, EOFError, zlib.error, pa.ArrowException)


@dataclass(frozen=True)
class Record:
    """One input with its text in consecutive pieces, which can be read once; reading may raise `Unusable`."""

    source: str
    position: int
    pieces: Iterable[str]
    license: str = ""


@dataclass(frozen=True)
class Rejection:
    """One input that is no document, and why; `reason` is a key of `REASONS`."""

    source: str
    position: int
    reason: str
    detail: str
    excerpt: str = ""


class Unusable(Exception):
    """Found while reading a record's pieces: it is no document."""

    def __init__(self, reason: str, detail: str, excerpt: str = "") -> None:
        super().__init__(detail)
        self.reason, self.detail, self.excerpt = reason, detail, excerpt


def read_file(file: SourceFile, corpus: Corpus) -> Iterator[Record | Rejection]:
    """Every input of a file, in order.

    Raises:
        Failure: (exit code 5) if the file system fails.
    """
    parts = file.name.lower().split("/")[-1].split(".")[1:]
    compression = parts.pop() if parts and parts[-1] in {"gz", "zst"} else ""
    kind = corpus.format if corpus.format != "auto" else parts[-1] if parts else ""
    if kind == "parquet":
        yield from _parquet(file, corpus)
    elif kind == "jsonl":
        yield from _jsonl(file, compression, corpus)
    else:
        yield Record(file.name, 0, text_pieces(file, compression))


def _open(file: SourceFile, compression: str) -> io.BufferedIOBase:
    raw = open_binary(file)
    if compression == "gz":
        return gzip.GzipFile(fileobj=raw)
    if compression == "zst":
        return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd"), 2**20)
    return raw


def text_pieces(file: SourceFile, compression: str = "") -> Iterator[str]:
    """The text of a file in pieces of a few million characters, without a byte-order mark.

    Raises:
        Unusable: if it is not UTF-8 or its compression is broken.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    position = 0
    try:
        with _open(file, compression) as stream:
            while block := stream.read(BLOCK_BYTES):
                position += len(block)
                yield decoder.decode(block)
            yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        at = position - len(error.object) + error.start
        raise Unusable("invalid_utf8", f"byte {at}: {error.reason}", _shown(error.object)) from error
    except UNREADABLE as error:
        raise Unusable("unreadable", f"{type(error).__name__}: {error}") from error


def _shown(raw: bytes) -> str:
    return raw[:200].decode("utf-8", "replace")


def _jsonl(file: SourceFile, compression: str, corpus: Corpus) -> Iterator[Record | Rejection]:
    number = 0
    try:
        with _open(file, compression) as stream:
            while line := stream.readline(MAX_LINE_BYTES):
                number += 1
                if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                    while rest := stream.readline(MAX_LINE_BYTES):
                        if rest.endswith(b"\n"):
                            break
                    detail = f"a line of over {MAX_LINE_BYTES:,} bytes; store so long a document as a text file"
                    yield Rejection(file.name, number, "too_large", detail, _shown(line))
                elif line.strip():
                    yield _jsonl_record(file.name, number, line, corpus)
    except UNREADABLE as error:
        yield Rejection(file.name, 0, "unreadable", f"after line {number}: {type(error).__name__}: {error}")


def _jsonl_record(name: str, number: int, line: bytes, corpus: Corpus) -> Record | Rejection:
    try:
        item = json.loads(line)
    except UnicodeDecodeError as error:
        return Rejection(name, number, "invalid_utf8", f"byte {error.start} of the line: {error.reason}", _shown(line))
    except (ValueError, RecursionError) as error:
        return Rejection(name, number, "unreadable", f"not JSON: {error}", _shown(line))
    if not isinstance(item, dict):
        return Rejection(name, number, "not_text", f"a JSON {type(item).__name__}, not an object", _shown(line))
    return _record(name, number, item, corpus)


def _record(name: str, number: int, item: dict, corpus: Corpus) -> Record | Rejection:
    for field, wanted in corpus.where.items():
        found: object = item
        for part in field.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if found != wanted:
            return Rejection(name, number, "filtered", f"{field} is {str(found)[:80]!r}, not {wanted!r}")
    text = item.get(corpus.text_column)
    if not isinstance(text, str):
        return Rejection(name, number, "not_text", f"field {corpus.text_column!r} is no string but {type(text).__name__}", str(text)[:200])
    return Record(name, number, (text,), str(item.get("license") or ""))


def _parquet(file: SourceFile, corpus: Corpus) -> Iterator[Record | Rejection]:
    position, column = 0, corpus.text_column
    try:
        with open_binary(file) as stream, pq.ParquetFile(stream) as reader:
            names = reader.schema_arrow.names
            kind = reader.schema_arrow.field(column).type if column in names else None
            if kind is None or not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                found = f"column {column!r} is {kind}" if kind else f"no column {column!r}, found {names}"
                yield Rejection(file.name, 0, "not_text", found)
                return
            wanted = {column, "license", *(field.split(".")[0] for field in corpus.where)} & set(names)
            for group in range(reader.num_row_groups):
                size = reader.metadata.row_group(group)
                rows = max(1, min(1024, BLOCK_BYTES * size.num_rows // max(size.total_byte_size, 1)))
                for batch in reader.iter_batches(rows, row_groups=[group], columns=sorted(wanted)):
                    for row in batch.to_pylist():
                        position += 1
                        yield _record(file.name, position, row, corpus)
    except (*UNREADABLE, UnicodeDecodeError) as error:
        yield Rejection(file.name, 0, "unreadable", f"after row {position}: {type(error).__name__}: {error}"[:500])
