"""Records of a JSON file: one a line, or the objects of one array, or objects over several lines that follow
each other.
"""

from __future__ import annotations

import codecs
import io
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from stages.ingestion.records import Record, Rejection, Unusable, record_of
from stages.ingestion.sources import SourceFile
from stages.ingestion.streams import BLOCK_BYTES, UNREADABLE, open_stream, shown
from stages.parameters import Corpus

MAX_RECORD_BYTES = 128 * 2**20
_ARRAY = re.compile(rb"\[\s*(\{|$)")
_BETWEEN = re.compile(r"[\s,]*")


def may_be_json(head: bytes) -> bool:
    """Whether a file that begins so may hold JSON objects."""
    return head.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"{", b"[")


def is_array(line: bytes) -> bool:
    """Whether `line`, the first of a file, begins an array of objects."""
    return _ARRAY.match(line) is not None


def json_records(
    file: SourceFile, compression: str, corpus: Corpus, lines: bool
) -> Iterator[Record | Rejection]:
    """Every record of a JSON file; `lines` says that its name promises one a line, so that a broken first
    line is one broken record.
    """
    try:
        with open_stream(file, compression) as stream:
            skipped, first = first_line(stream, MAX_RECORD_BYTES)
            begin = first.strip()
            goes_on = begin.startswith(b"{") and begin.endswith((b"{", b"[", b",", b":"))
            if is_array(begin) or (goes_on and not lines):
                yield from _from_values(file, itertools.chain([first], _blocks(stream)), corpus)
            else:
                yield from _from_lines(file, stream, skipped, first, corpus)
    except UNREADABLE as error:
        yield Rejection(file.name, 0, "unreadable", f"at the beginning: {type(error).__name__}: {error}")


def first_line(stream: io.BufferedReader, limit: int) -> tuple[int, bytes]:
    """(blank lines before it, the first line that is not blank, without a byte-order mark, at most `limit`
    bytes of it).
    """
    skipped, line = 0, stream.readline(limit).removeprefix(codecs.BOM_UTF8)
    while line and not line.strip():
        skipped, line = skipped + 1, stream.readline(limit)
    return skipped, line


def _blocks(stream: io.BufferedReader) -> Iterator[bytes]:
    while block := stream.read(BLOCK_BYTES):
        yield block


def _from_lines(
    file: SourceFile, stream: io.BufferedReader, skipped: int, line: bytes, corpus: Corpus
) -> Iterator[Record | Rejection]:
    number = skipped
    try:
        while line:
            number += 1
            if len(line) == MAX_RECORD_BYTES and not line.endswith(b"\n"):
                while rest := stream.readline(MAX_RECORD_BYTES):
                    if rest.endswith(b"\n"):
                        break
                detail = f"a line of over {MAX_RECORD_BYTES:,} bytes; store so long a document as a text file"
                yield Rejection(file.name, number, "too_large", detail, shown(line))
            elif line.strip():
                yield _from_line(file.name, number, line, corpus)
            line = stream.readline(MAX_RECORD_BYTES)
    except UNREADABLE as error:
        yield Rejection(file.name, 0, "unreadable", f"after line {number}: {type(error).__name__}: {error}")


def _from_line(name: str, number: int, line: bytes, corpus: Corpus) -> Record | Rejection:
    try:
        item = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Rejection(
            name, number, "invalid_utf8", f"byte {error.start} of the line: {error.reason}", shown(line)
        )
    except (ValueError, RecursionError) as error:
        return Rejection(name, number, "unreadable", f"not JSON: {error}", shown(line))
    return _from_item(name, number, item, shown(line), corpus)


def _from_item(name: str, number: int, item: Any, excerpt: str, corpus: Corpus) -> Record | Rejection:
    if not isinstance(item, dict):
        return Rejection(name, number, "not_text", f"a JSON {type(item).__name__}, not an object", excerpt)
    return record_of(name, number, item, corpus)


def _from_values(file: SourceFile, blocks: Iterable[bytes], corpus: Corpus) -> Iterator[Record | Rejection]:
    number = 0
    try:
        for item in json_values(blocks):
            number += 1
            yield _from_item(file.name, number, item, str(item)[:200], corpus)
    except Unusable as error:
        yield Rejection(file.name, 0, error.reason, f"after record {number}: {error.detail}", error.excerpt)
    except UNREADABLE as error:
        yield Rejection(file.name, 0, "unreadable", f"after record {number}: {type(error).__name__}: {error}")


def json_values(blocks: Iterable[bytes]) -> Iterator[Any]:
    """The values of a JSON array, or values that follow each other; memory is bounded by the longest.

    Raises:
        Unusable: if they are not JSON, not UTF-8 or one is longer than `MAX_RECORD_BYTES`.
    """
    text, array = "", None
    for more, ended in _decoded(blocks):
        text += more
        if array is None and (begun := text.lstrip()):
            array = begun.startswith("[")
            text = begun.removeprefix("[")
        at = 0
        while (begin := _between(text, at)) < len(text):
            if array and text[begin] == "]":
                yield from _nothing_after(text[begin + 1 :])
                return
            try:
                value, end = json.JSONDecoder().raw_decode(text, begin)
            except RecursionError as error:
                raise Unusable("unreadable", f"not JSON: {error}", text[begin : begin + 200]) from error
            except ValueError as error:
                if ended:
                    raise Unusable("unreadable", f"not JSON: {error}", text[begin : begin + 200]) from error
                if len(text) - begin > MAX_RECORD_BYTES:
                    raise Unusable(
                        "too_large",
                        f"a record of over {MAX_RECORD_BYTES:,} bytes, or no JSON",
                        text[begin:][:200],
                    ) from error
                break
            if end == len(text) and not ended and not isinstance(value, dict | list | str):
                break  # a number may go on in the next block
            yield value
            at = end
        text = text[at:]
    if array:
        raise Unusable("unreadable", "the array does not end")


def _between(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    assert found is not None
    return found.end()


def _nothing_after(text: str) -> Iterator[Any]:
    if text.strip():
        raise Unusable("unreadable", "more stands after the end of the array", text.strip()[:200])
    return iter(())


def _decoded(blocks: Iterable[bytes]) -> Iterator[tuple[str, bool]]:
    """(text, whether it is the last), with an empty text at the end."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        for block in blocks:
            yield decoder.decode(block), False
        yield decoder.decode(b"", final=True), True
    except UnicodeDecodeError as error:
        raise Unusable("invalid_utf8", error.reason, shown(error.object[error.start :])) from error
