"""Documents and quarantined inputs: what ingestion writes. Every input is in exactly one of the two.

`INPUTS` is what ingestion reads, before it knows which of them repeat each other; it lives in the scratch
directory only.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.contract import Contract, field

SPLITS = ("train", "validation", "test")

DOC_ID = field("doc_id", pa.string(), "SHA-256 of the text, first 16 hex digits")
SPLIT = field("split", pa.string(), "train, validation or test; decided by the hash of the text")


def unknown_splits(table: pa.Table) -> Iterator[str]:
    """A sentence if `split` holds anything but the three names."""
    if odd := set(pc.unique(table.column("split")).to_pylist()) - set(SPLITS):
        yield f"unknown splits {sorted(odd)}"


def document_runs(doc_ids: pa.ChunkedArray) -> list[tuple[str, int, int]]:
    """(doc_id, first row, row after the last) of each document; rows of a document stand together."""
    ids = doc_ids.to_pylist()
    bounds = [0, *(row for row in range(1, len(ids)) if ids[row] != ids[row - 1]), len(ids)] if ids else [0]
    return [(ids[begin], begin, end) for begin, end in itertools.pairwise(bounds)]


def _check_documents(table: pa.Table) -> Iterator[str]:
    yield from unknown_splits(table)
    if not pc.all(
        pc.equal(pc.cast(pc.utf8_length(table.column("text")), pa.int64()), table.column("num_chars"))
    ).as_py():
        yield "num_chars differs from the length of text"
    if pc.any(pc.equal(table.column("num_chars"), 0)).as_py():
        yield "an empty document"


DOCUMENTS = Contract(
    "documents",
    2,
    pa.schema(
        [
            DOC_ID,
            field(
                "part_of",
                pa.string(),
                "hash of the whole text if this is a part of it, cut at ingestion.max_document_chars, else"
                " empty",
            ),
            field("corpus", pa.string(), "name of the corpus in params.yaml"),
            SPLIT,
            field(
                "source",
                pa.string(),
                "file the text was read from, relative to the source; `#n` is its n-th record",
            ),
            field(
                "license",
                pa.string(),
                "licence as the source or corpora.<name>.license states it, empty if neither does",
            ),
            field("text", pa.large_string(), "the document"),
            field("num_chars", pa.int64(), "length of text", "Unicode code points"),
        ]
    ),
    ("doc_id",),
    _check_documents,
)

REASONS = {
    "empty": "no character at all, or white space only",
    "invalid_utf8": "bytes that are not UTF-8",
    "too_short": "fewer characters than one chunk can hold",
    "duplicate": "the same text as an earlier document, up to line ends and white space at its edges",
    "unreadable": "the file or record could not be parsed",
    "not_text": "the text field is missing or is not a string",
    "not_unicode": "lone surrogates, which no UTF-8 file can hold",
    "unbreakable": (
        "over 2 MiB without the end of a word (or of nothing but white space), which no tokenizer can take in"
        " bounded memory"
    ),
    "too_large": "a JSONL line of over 128 MiB or, in a repository, a file of over 32 MiB",
    "not_data": (
        "a file that lies beside the data: hidden, a description, a checksum, or of another kind than records"
    ),
    "filtered": "a record that corpora.<name>.where does not ask for",
    "beyond_limit": "a good document, left out because corpora.<name>.max_characters was reached",
}


def _check_quarantine(table: pa.Table) -> Iterator[str]:
    if odd := set(pc.unique(table.column("reason")).to_pylist()) - set(REASONS):
        yield f"unknown reasons {sorted(odd)}"


QUARANTINE = Contract(
    "quarantine",
    1,
    pa.schema(
        [
            field("source", pa.string(), "file the input came from, relative to the source"),
            field("position", pa.int64(), "record or row in that file, 0 for a whole file"),
            field("reason", pa.string(), "reason code: " + ", ".join(REASONS)),
            field("detail", pa.string(), "what exactly was wrong"),
            field("excerpt", pa.string(), "the first characters, with everything unprintable escaped"),
        ]
    ),
    (),
    _check_quarantine,
)


def _check_inputs(table: pa.Table) -> Iterator[str]:
    if odd := set(pc.unique(table.column("reason")).to_pylist()) - {"", *REASONS}:
        yield f"unknown reasons {sorted(odd)}"


INPUTS = Contract(
    "inputs",
    2,
    pa.schema(
        [
            field(
                "input",
                pa.int32(),
                "number of the input in this shard, from 0; a long one has a row for each of its parts",
            ),
            field("source", pa.string(), "file the input came from, relative to the source"),
            field("position", pa.int64(), "record or row in that file, 0 for a whole file"),
            field("license", pa.string(), "licence as the source states it"),
            field("split", pa.string(), "split as the source states it, empty if the hash decides"),
            field(
                "doc_id", pa.string(), "SHA-256 of this part's text, first 16 hex digits; empty if rejected"
            ),
            field(
                "whole_id", pa.string(), "the same of the whole input, in its last row; empty in the others"
            ),
            field(
                "text_key",
                pa.string(),
                "digest of this part's text up to line ends and white space at its edges; empty if rejected",
            ),
            field(
                "whole_key", pa.string(), "the same of the whole input, in its last row; empty in the others"
            ),
            field("num_chars", pa.int64(), "length of text", "Unicode code points"),
            field("num_bytes", pa.int64(), "length of text in UTF-8", "bytes"),
            field(
                "reason", pa.string(), "reason code if the input, with all its rows, is rejected, else empty"
            ),
            field("detail", pa.string(), "what exactly was wrong"),
            field("excerpt", pa.string(), "the first characters, with everything unprintable escaped"),
            field("text", pa.large_string(), "the text of this part; empty if rejected"),
        ]
    ),
    (),
    _check_inputs,
)
