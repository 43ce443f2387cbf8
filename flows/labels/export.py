"""A label set as one file that other tools read: CSV, JSON Lines or Parquet, a row a pair."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import polars as pl
import pyarrow as pa

from data_contracts.candidates import LABELS
from data_contracts.contract import field
from data_contracts.failure import Exit, Failure
from reports.labels.label_set import LabelSet
from reports.labels.table_files import WRITERS

FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
BATCH_PAIRS = 100_000
HALVES = {"candidate_halves": "candidate", "local_halves": "local"}
# Name -> the column that says which chunk, and how many chunks after it.
TEXTS = {
    "query_text": ("query_chunk", 0),
    "target_text": ("query_chunk", 1),
    "candidate_text": ("candidate_chunk", 0),
    "continuation_text": ("candidate_chunk", 1),
}


def format_of(path: Path, asked: str | None) -> str:
    """The format of `path`: what is asked for, or what its suffix says.

    Raises:
        Failure: (exit code 2) if neither says.
    """
    if found := asked or FORMATS.get(path.suffix):
        return found
    cause = f"the suffix {path.suffix!r} is none of {', '.join(FORMATS)}"
    raise Failure(f"the format of {path.name!r}", cause, "add --format csv, jsonl or parquet", Exit.USAGE)


def export(labels: LabelSet, path: Path, kind: str, texts: bool, force: bool) -> int:
    """Write every pair to `path`, whole or not at all; returns their number.

    The columns are those of the labels, with halves as columns of their own, the source of the document and,
    if `texts`, the texts of the query, the target, the candidate and its continuation.

    Raises:
        Failure: (exit code 2) if the file exists and `force` is not set; (5) if it cannot be written.
    """
    if path.exists() and not force:
        raise Failure(
            f"{str(path)!r} exists",
            "it would be overwritten",
            "add --force, or choose another name",
            Exit.USAGE,
        )
    schema, rows = _schema(texts), 0
    with _whole(path) as file, WRITERS[kind](file, schema) as write:
        for batch in _batches(labels, texts):
            write(batch.select(schema.names))
            rows += len(batch)
    return rows


def _schema(texts: bool) -> pa.Schema:
    """The columns with their descriptions and units."""
    source = field("source", pa.string(), "file the document was read from, relative to the source")
    fields = [kept for kept in LABELS.schema if kept.name not in HALVES]
    for context in HALVES.values():
        of = f"{context}_logprob of the {{}} half of the target"
        fields += [
            field(f"{context}_{half}_half", pa.float32(), of.format(half), "nats")
            for half in ("first", "second")
        ]
    if texts:
        fields += [
            field(name, pa.string(), f"text of chunk {column} + {after}")
            for name, (column, after) in TEXTS.items()
        ]
    return pa.schema([*fields[:2], source, *fields[2:]])


def _batches(labels: LabelSet, texts: bool) -> Iterator[pl.DataFrame]:
    documents = labels.documents.with_columns(batch=pl.col("pairs").cum_sum() // BATCH_PAIRS)
    halves = [
        pl.col(name).arr.get(place).alias(f"{context}_{half}_half")
        for name, context in HALVES.items()
        for place, half in enumerate(("first", "second"))
    ]
    for part in documents.partition_by("batch", maintain_order=True):
        sources = part.select("doc_id", "source")
        rows = labels.labels_of(part["doc_id"], LABELS.schema.names).with_columns(halves)
        text = labels.chunks_of(part["doc_id"], ["doc_id", "chunk", "text"]) if texts else None
        for batch in rows.iter_slices(BATCH_PAIRS):
            batch = batch.join(sources, on="doc_id", how="left", maintain_order="left")
            yield batch if text is None else _with_texts(batch, text)


def _with_texts(batch: pl.DataFrame, text: pl.DataFrame) -> pl.DataFrame:
    for name, (column, after) in TEXTS.items():
        found = text.select("doc_id", pl.col("chunk").sub(after).alias(column), pl.col("text").alias(name))
        batch = batch.join(found, on=["doc_id", column], how="left", maintain_order="left")
    return batch


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears at `path` when it is complete."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise Failure(
            f"{str(path)!r} cannot be written", str(error), "choose another place", Exit.ENVIRONMENT
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
