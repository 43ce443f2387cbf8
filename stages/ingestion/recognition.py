"""Whether a file whose name does not say so holds JSON records: certain, certainly not, or a question to the
person who knows.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any, NoReturn

from data_contracts.failure import Exit, Failure
from stages.ingestion.json_records import first_line, is_array, json_values
from stages.ingestion.records import Unusable
from stages.ingestion.sources import SourceFile
from stages.ingestion.streams import UNREADABLE, open_stream
from stages.parameters import Corpus

SAMPLE_LINES = 8
SAMPLE_BYTES = 16 * 2**20


def holds_records(file: SourceFile, compression: str, corpus: Corpus) -> bool:
    """Whether the file is JSON objects with the text in their fields, from its beginning: a few lines or
    values.

    Raises:
        Failure: (exit code 2) if that is in doubt: it begins with objects that have no such field, or only
            some of its lines are objects.
    """
    items, others = _sample(file, compression)
    if len(items) <= others:
        return False
    if others or not all(corpus.text_column in item for item in items):
        _ask(file, corpus, items, others)
    return True


def _ask(file: SourceFile, corpus: Corpus, items: list[dict], others: int) -> NoReturn:
    fields = sorted(set(itertools.chain.from_iterable(items)))[:20]
    counts = f"{len(items)} JSON objects and {others} other lines"
    cause = f"it begins with {counts}; fields are {fields}, the text is wanted in {corpus.text_column!r}"
    remedy = (
        "set corpora.<name>.format to text if each file is one text, or to jsonl with its text_column, or"
        " choose files by include"
    )
    raise Failure(f"{file.name} may hold records or be one text", cause, remedy, Exit.USAGE)


def _sample(file: SourceFile, compression: str) -> tuple[list[dict], int]:
    """(JSON objects at the beginning of a file, lines or values there that are none)."""
    try:
        with open_stream(file, compression) as stream:
            _, first = first_line(stream, SAMPLE_BYTES)
            rest = iter(lambda: stream.readline(SAMPLE_BYTES), b"")
            whole = _parsed(first) is not None and not is_array(first.strip())
            values = (
                map(_parsed, filter(bytes.strip, itertools.chain([first], rest)))
                if whole
                else _values(first, rest)
            )
            sample = list(itertools.islice(values, SAMPLE_LINES))
    except UNREADABLE:
        return [], 1
    items = [item for item in sample if isinstance(item, dict)]
    return items, len(sample) - len(items)


def _values(first: bytes, rest: Iterator[bytes]) -> Iterator[Any]:
    """Values over several lines; one None where they end being JSON."""
    try:
        yield from json_values(itertools.chain([first], rest))
    except Unusable:
        yield None


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
