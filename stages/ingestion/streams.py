"""The bytes of a source file as a stream, decompressed."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import cast

import pyarrow as pa

from stages.ingestion.sources import SourceFile, open_binary

BLOCK_BYTES = 4 * 2**20
UNREADABLE = (OSError, EOFError, zlib.error, pa.ArrowException)
MAGIC = {b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst"}


def open_stream(file: SourceFile, compression: str) -> io.BufferedReader:
    """The decompressed bytes of a file; compression is `gz`, `zst` or empty.

    Raises:
        Failure: (exit code 5), now or while reading, if the file system fails.
        OSError, EOFError, zlib.error, ArrowException: now or while reading, if the compression is broken.
    """
    raw = open_binary(file)
    if compression == "gz":
        return io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=raw)), 2**20)
    if compression == "zst":
        return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd"), 2**20)
    return raw


def compression_of(head: bytes) -> str:
    """The compression of a file that begins so, empty if none is known."""
    return next((name for magic, name in MAGIC.items() if head.startswith(magic)), "")


def shown(raw: bytes) -> str:
    """The beginning of bytes that are no text, for a person."""
    return raw[:200].decode("utf-8", "replace")
