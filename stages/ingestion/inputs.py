"""Reading the inputs of a corpus: each is judged by itself and cut into parts where it is too long. Memory is
bounded by one part.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pyarrow as pa

from data_contracts.contract import write_shard
from data_contracts.documents import INPUTS
from stages.ingestion.parquet_records import Columns
from stages.ingestion.readers import read_file
from stages.ingestion.records import Record, Rejection, Unusable
from stages.ingestion.repositories import read_repositories, read_stdlib, top_directory
from stages.ingestion.sources import STDLIB, SourceFile
from stages.ingestion.text_key import TextKey
from stages.parameters import Corpus, Ingestion

MAX_RUN_BYTES = 2 * 2**20
BLOCK_BYTES = 32 * 2**20
EXCERPT_CHARS = 80
ID_DIGITS = 16


def escaped(text: str) -> str:
    """Text safe to show anywhere: everything but printable ASCII as backslash escapes, at most 80 characters
    of the original.
    """
    return text[:EXCERPT_CHARS].encode("unicode_escape", "backslashreplace").decode("ascii")


def cut(pieces: Iterable[str], limit: int) -> Iterator[str]:
    """The text in parts of at most `limit` characters, cut after a line end or else a space in the last half,
    or else anywhere.
    """
    pending, size = list[str](), 0
    for piece in pieces:
        pending.append(piece)
        size += len(piece)
        if size <= limit:
            continue
        text, begin = "".join(pending), 0
        while len(text) - begin > limit:
            end = begin + limit
            after = (
                max(text.rfind("\n", begin + limit // 2, end), -1) + 1
                or text.rfind(" ", begin + limit // 2, end) + 1
                or end
            )
            yield text[begin:after]
            begin = after
        pending, size = [text[begin:]], len(text) - begin
    yield "".join(pending)


def longest_run(raw: bytes) -> int:
    """Bytes in the longest stretch that the tokenizer cannot be given in pieces: none but white space is
    followed by white space in it.
    """
    codes = np.frombuffer(raw, np.uint8)
    space = (codes == 32) | ((codes >= 9) & (codes <= 13))
    cuts = np.flatnonzero(~space[:-1] & space[1:])
    return int(np.diff(cuts, prepend=-1, append=len(codes) - 1).max())


def _row(number: int, item: Record | Rejection, **values: object) -> dict:
    name = item.source if item.source.isprintable() else escaped(item.source)
    empty = {
        "license": "",
        "split": "",
        "doc_id": "",
        "whole_id": "",
        "text_key": "",
        "whole_key": "",
        "num_chars": 0,
        "num_bytes": 0,
        "reason": "",
        "detail": "",
        "text": "",
    }
    return {"input": number, "source": name, "position": item.position, "excerpt": "", **empty, **values}


def rows_of(number: int, item: Record | Rejection, corpus: Corpus, limits: Ingestion) -> Iterator[dict]:
    """The rows of INPUTS for one input: its parts, and at the end the reason if it is none of the documents
    after all.
    """
    if isinstance(item, Rejection):
        yield _row(number, item, reason=item.reason, detail=item.detail, excerpt=escaped(item.excerpt))
        return
    split = next(
        (name for name, pattern in corpus.splits.items() if fnmatchcase(item.source, pattern)),
        "train" if corpus.splits else "",
    )
    whole, whole_key, begun = hashlib.sha256(), TextKey(), ""
    try:
        parts = cut(item.pieces, limits.max_document_chars)
        part = next(parts)
        begun = part[:EXCERPT_CHARS]
        following = next(parts, None)
        _refuse_short(part, following, limits)
        while True:
            raw = part.encode()
            whole.update(raw)
            whole_key.add(part)
            if (run := longest_run(raw)) > MAX_RUN_BYTES:
                raise Unusable(
                    "unbreakable", f"{run:,} bytes without the end of a word, the limit is {MAX_RUN_BYTES:,}"
                )
            yield _row(
                number,
                item,
                license=item.license or corpus.license,
                split=split,
                doc_id=hashlib.sha256(raw).hexdigest()[:ID_DIGITS],
                whole_id="" if following is not None else whole.hexdigest()[:ID_DIGITS],
                text_key=TextKey(part).digest(),
                whole_key="" if following is not None else whole_key.digest(),
                num_chars=len(part),
                num_bytes=len(raw),
                excerpt=escaped(part),
                text=part,
            )
            if following is None:
                return
            part, following = following, next(parts, None)
    except UnicodeEncodeError as error:
        yield _row(
            number,
            item,
            reason="not_unicode",
            detail=f"character {error.start}: {error.reason}",
            excerpt=escaped(begun),
        )
    except Unusable as error:
        yield _row(
            number, item, reason=error.reason, detail=error.detail, excerpt=escaped(error.excerpt or begun)
        )


def _refuse_short(part: str, following: str | None, limits: Ingestion) -> None:
    if following is not None:
        return
    if not part.strip():
        raise Unusable("empty", f"{len(part)} characters, all white space")
    if len(part) < limits.min_document_chars:
        raise Unusable(
            "too_short",
            f"{len(part)} characters, ingestion.min_document_chars is {limits.min_document_chars}",
        )


def read_inputs(
    files: list[SourceFile], corpus: Corpus, expected: Columns | None = None
) -> Iterator[Record | Rejection]:
    """Every input of some files of a corpus, in order."""
    if corpus.source == STDLIB:
        return read_stdlib(files)
    if corpus.group == "directory":
        return read_repositories(files)
    return itertools.chain.from_iterable(read_file(file, corpus, expected) for file in files)


def input_tables(
    files: list[SourceFile], corpus: Corpus, limits: Ingestion, expected: Columns | None = None
) -> Iterator[pa.Table]:
    """INPUTS of some files of a corpus, in tables of about 32 MiB of text."""
    rows, size = list[dict](), 0
    for number, item in enumerate(read_inputs(files, corpus, expected)):
        for row in rows_of(number, item, corpus, limits):
            rows.append(row)
            size += row["num_bytes"]
            if size >= BLOCK_BYTES:
                yield _table(rows)
                rows, size = [], 0
    yield _table(rows)


def _table(rows: list[dict]) -> pa.Table:
    return INPUTS.table({name: [row[name] for row in rows] for name in INPUTS.schema.names})


def read_batch(
    shard: str,
    scratch: Path,
    files: list[SourceFile],
    corpus: Corpus,
    limits: Ingestion,
    expected: Columns | None = None,
) -> None:
    """Write one shard of INPUTS: the task of ingestion's first pass."""
    write_shard(INPUTS, input_tables(files, corpus, limits, expected), scratch / shard)


def batches(files: list[SourceFile], corpus: Corpus, target_bytes: int) -> list[list[SourceFile]]:
    """Consecutive files in groups of about `target_bytes`; a repository is never divided, and the standard
    library is one group.
    """
    if corpus.source == STDLIB:
        return [files]
    if corpus.group == "directory":
        ordered = sorted(files, key=lambda file: (top_directory(file), file.name))
        units = [list(members) for _, members in itertools.groupby(ordered, top_directory)]
    else:
        units = [[file] for file in files]
    groups, size = [list[SourceFile]()], 0
    for unit in units:
        if size >= target_bytes:
            groups.append([])
            size = 0
        groups[-1] += unit
        size += sum(file.bytes for file in unit)
    return groups
