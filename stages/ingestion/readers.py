"""Inputs of a source file, read as a stream: text (one document), JSON (one a record), Parquet (one a row),
each also `.gz` or `.zst`.

The name of a file says what it holds; where it does not, the file itself does. What cannot be read is a
rejection with a reason, never dropped and never raised; memory does not depend on the size of a file.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator

from stages.ingestion.data_files import KINDS, TABLES, suffixes
from stages.ingestion.json_records import json_records, may_be_json
from stages.ingestion.parquet_records import MAGIC, Columns, parquet_records
from stages.ingestion.recognition import holds_records
from stages.ingestion.records import Record, Rejection, Unusable
from stages.ingestion.sources import SourceFile
from stages.ingestion.streams import BLOCK_BYTES, UNREADABLE, compression_of, open_stream, shown
from stages.parameters import Corpus


def read_file(
    file: SourceFile, corpus: Corpus, expected: Columns | None = None
) -> Iterator[Record | Rejection]:
    """Every input of a file, in order; `expected` are the columns of another Parquet file of the corpus.

    Raises:
        Failure: (exit code 5) if the file system fails, (2) if the file may be text or records, or has other
            columns than `expected`.
    """
    if file.refusal:
        yield Rejection(file.name, 0, *file.refusal)
        return
    suffix, compression = suffixes(file.name)
    kind = KINDS.get(suffix, "") if corpus.format == "auto" else corpus.format
    if not kind and suffix in TABLES:
        detail = (
            f"a .{suffix} table: turn it to Parquet or JSONL, or set corpora.<name>.format to text to read it"
            " as one text"
        )
        yield Rejection(file.name, 0, "not_text", detail)
    elif kind == "parquet":
        yield from parquet_records(file, corpus, expected)
    elif kind == "jsonl":
        yield from json_records(file, compression, corpus, lines=suffix not in ("", "json"))
    elif kind == "text":
        yield Record(file.name, 0, text_pieces(file, compression))
    else:
        yield from _recognised(file, compression, corpus, expected)


def _recognised(
    file: SourceFile, compression: str, corpus: Corpus, expected: Columns | None
) -> Iterator[Record | Rejection]:
    try:
        stream = open_stream(file, compression)
        head = stream.peek(1)
    except UNREADABLE as error:
        yield Rejection(file.name, 0, "unreadable", f"{type(error).__name__}: {error}")
        return
    if not compression and (found := compression_of(head)):
        stream.close()
        yield from _recognised(file, found, corpus, expected)
    elif head.startswith(MAGIC):
        stream.close()
        yield from parquet_records(file, corpus, expected)
    elif may_be_json(head) and holds_records(file, compression, corpus):
        stream.close()
        yield from json_records(file, compression, corpus, lines=False)
    else:
        yield Record(file.name, 0, _decoded(stream))


def text_pieces(file: SourceFile, compression: str = "") -> Iterator[str]:
    """The text of a file in pieces of a few million characters, without a byte-order mark.

    Raises:
        Unusable: if it is not UTF-8 or its compression is broken.
    """
    try:
        stream = open_stream(file, compression)
    except UNREADABLE as error:
        raise Unusable("unreadable", f"{type(error).__name__}: {error}") from error
    yield from _decoded(stream)


def _decoded(stream: io.BufferedReader) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    position = 0
    try:
        with stream:
            while block := stream.read(BLOCK_BYTES):
                position += len(block)
                yield decoder.decode(block)
            yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        at = position - len(error.object) + error.start
        raise Unusable("invalid_utf8", f"byte {at}: {error.reason}", shown(error.object)) from error
    except UNREADABLE as error:
        raise Unusable("unreadable", f"{type(error).__name__}: {error}") from error
