"""What a source would give, before anything is made of it: read, judged and split in this process, and
nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from data_contracts import counting
from data_contracts.failure import Failure
from stages.ingestion.ingestion import FACTS, accept
from stages.ingestion.inputs import input_tables
from stages.ingestion.parquet_records import expected_columns
from stages.ingestion.plan import assign_splits, judge
from stages.ingestion.sources import SourceFile, source_files
from stages.parameters import Corpus, Ingestion

MOST_BYTES = 2**27  # of files that are read: seconds


@dataclass(frozen=True)
class Preview:
    """Of `files` files `read` were read, a share `part` of all bytes: their `documents` (split, num_chars),
    how many documents are beyond max_characters, and how many inputs were refused, by reason."""

    files: int
    read: int
    part: float
    documents: pl.DataFrame
    surplus: int
    refused: dict[str, int]


def preview(corpus: Corpus, ingestion: Ingestion, most_bytes: int = MOST_BYTES) -> Preview:
    """What ingestion would make of the first files, up to `most_bytes` of them.

    Where only a part was read and does not make a corpus by itself, all of it is taken for train.

    Raises:
        Failure: as ingestion would, where all files were read.
    """
    files = source_files(corpus)
    read = _first(files, most_bytes)
    tables = input_tables(read, corpus, ingestion, expected_columns(files, corpus))
    facts = pl.concat([pl.DataFrame(pl.from_arrow(table.select(FACTS))) for table in tables])
    facts = facts.with_columns(shard=pl.lit("preview"), row=pl.int_range(len(facts), dtype=pl.Int64))
    part = sum(file.bytes for file in read) / max(1, sum(file.bytes for file in files))
    try:
        kept, surplus, _, counts = accept(facts, corpus, ingestion)
        splits = assign_splits(kept, corpus)
    except Failure:
        if part == 1:
            raise
        # What the first files lack the others may have.
        (kept, refused), surplus = judge(facts), facts.clear()
        splits = dict.fromkeys(kept["whole_id"], "train")
        counts = dict(refused.group_by("reason").agg(counting.rows()).sort("reason").iter_rows())
    documents = kept.select(
        split=pl.col("whole_id").replace_strict(splits, return_dtype=pl.String), num_chars="num_chars"
    )
    return Preview(len(files), len(read), part, documents, len(surplus), counts)


def _first(files: list[SourceFile], most_bytes: int) -> list[SourceFile]:
    """The first files of together at most `most_bytes`, but at least one."""
    size, count = 0, 0
    for file in files:
        size += file.bytes
        if count and size > most_bytes:
            break
        count += 1
    return files[:count]
