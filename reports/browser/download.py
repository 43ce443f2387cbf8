"""Everything that answers a question as a file: a row a query with its best candidate, or a row a pair."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from typing import IO

import polars as pl
import pyarrow as pa

from data_contracts.candidates import LABELS
from data_contracts.contract import field
from data_contracts.failure import Exit, Failure
from reports.browser.answers import answers, documents_of
from reports.browser.library import LabelLibrary
from reports.labels.table_files import WRITERS
from reports.site.address import Question

TYPES = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}
SCHEMA = pa.schema(
    [
        LABELS.schema.field("doc_id"),
        field("source", pa.string(), "file the document was read from, relative to the source"),
        LABELS.schema.field("split"),
        LABELS.schema.field("query_chunk"),
        *(LABELS.schema.field(name).with_nullable(True) for name in ("candidate_chunk", "rank")),
        field("distance", pa.int32(), "from the candidate to the query", "chunks", nullable=True),
        LABELS.schema.field("target_score").with_nullable(True),
    ]
)


def download(library: LabelLibrary, question: Question, kind: str) -> IO[bytes]:
    """A temporary file of `kind`, a key of `TYPES`, at its beginning: all answers in the order of the corpus,
    a shard in memory at a time. Texts of documents are not in it, only their ids and sources; in CSV what a
    spreadsheet would run as a formula has `'` before it.

    Raises:
        Failure: (exit code 3) if a shard cannot be read; (5) if the file cannot be written.
    """
    try:
        with ExitStack() as stack:
            file = stack.enter_context(tempfile.TemporaryFile())
            _fill(file, library, question, kind)
            stack.pop_all()  # whoever reads the file closes it
            return file
    except OSError as error:
        raise Failure("the download", str(error), "free space, or set TMPDIR", Exit.ENVIRONMENT) from error


def _fill(file: IO[bytes], library: LabelLibrary, question: Question, kind: str) -> None:
    documents = documents_of(library, question)
    wanted = set(documents["shard"])
    with WRITERS[kind](file, SCHEMA) as write:
        for number, shard in enumerate(library.documents["shard"].unique(maintain_order=True)):
            if shard in wanted:
                write(_columns(answers(library, number, shard, question, documents)))
    file.seek(0)


def _columns(found: pl.DataFrame) -> pl.DataFrame:
    return found.select(
        "doc_id",
        "source",
        "split",
        query_chunk="chunk",
        candidate_chunk="candidate",
        rank="best_rank",
        distance=pl.col("chunk") - pl.col("candidate"),
        target_score="best",
    )
