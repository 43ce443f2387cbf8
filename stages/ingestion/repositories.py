"""Files joined into long documents: a directory as one repository (paper section 4, CodeParrot), and Python's
own library for the demo.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from stages.ingestion.readers import text_pieces
from stages.ingestion.records import Record, Rejection, Unusable
from stages.ingestion.sources import SourceFile

MAX_FILE_BYTES = 32 * 2**20
STDLIB_DOCUMENT_CHARS = 24_000


def top_directory(file: SourceFile) -> str:
    """The repository of a file: the first directory of its name, empty for a file that stands
    outside of any.
    """
    return file.name.split("/")[0] if "/" in file.name else ""


def _joined(files: list[SourceFile], rejected: list[Rejection]) -> Iterator[str]:
    """The text of `files`, each after a line with its name; a file that cannot be used is left out and added
    to `rejected`.
    """
    for file in files:
        try:
            if file.bytes > MAX_FILE_BYTES:
                raise Unusable(
                    "too_large", f"{file.bytes:,} bytes, a file of a repository may have {MAX_FILE_BYTES:,}"
                )
            text = "".join(text_pieces(file))
        except Unusable as error:
            rejected.append(Rejection(file.name, 0, error.reason, error.detail, error.excerpt))
        else:
            yield f"# file: {file.name}\n{text}\n"


def read_repositories(files: list[SourceFile]) -> Iterator[Record | Rejection]:
    """One record a top directory, its files in path order."""
    for name, members in itertools.groupby(files, top_directory):
        found = list(members)
        rejected = [Rejection(file.name, 0, *file.refusal) for file in found if file.refusal]
        if usable := [file for file in found if not file.refusal]:
            yield Record(name or "(files outside of a directory)", 0, _joined(usable, rejected))
        yield from rejected


def read_stdlib(files: list[SourceFile]) -> Iterator[Record | Rejection]:
    """Modules of one package in path order, joined into documents of a few training sequences."""
    package, names, pieces = "", list[str](), list[str]()
    rejected: list[Rejection] = []
    for file in files:
        text = "".join(_joined([file], rejected))
        if pieces and (top_directory(file) != package or sum(map(len, pieces)) >= STDLIB_DOCUMENT_CHARS):
            yield Record(f"{names[0]} .. {names[-1]}", 0, pieces, "PSF-2.0")
            names, pieces = [], []
        if text:
            package = top_directory(file)
            names.append(file.name)
            pieces.append(text)
    if pieces:
        yield Record(f"{names[0]} .. {names[-1]}", 0, pieces, "PSF-2.0")
    yield from rejected
