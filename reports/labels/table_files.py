"""Tables with untrusted texts as files that other tools read: CSV, JSON Lines or Parquet, written part by
part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from data_contracts.contract import MAX_GROUP_ROWS

# How a formula may begin, also behind blanks, quotes and what cannot be seen, and in the wide forms of East
# Asian scripts.
FORMULA = r"^'*(?:[\s\p{Cc}\p{Cf}]*[=+\-@\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}\x{2212}]|[\t\r\n])"
Write = Callable[[pl.DataFrame], object]


@contextmanager
def _csv(file: IO[bytes], schema: pa.Schema) -> Iterator[Write]:
    """Text that a spreadsheet would take for a formula has `'` before it; numbers stay numbers."""
    file.write(",".join(schema.names).encode() + b"\n")
    cell = pl.col(pl.String)
    harmless = pl.when(cell.str.contains(FORMULA)).then("'" + cell).otherwise(cell).name.keep()
    yield lambda batch: batch.with_columns(harmless).write_csv(
        file, include_header=False, quote_style="non_numeric"
    )


@contextmanager
def _jsonl(file: IO[bytes], schema: pa.Schema) -> Iterator[Write]:
    yield lambda batch: batch.write_ndjson(file)


@contextmanager
def _parquet(file: IO[bytes], schema: pa.Schema) -> Iterator[Write]:
    with pq.ParquetWriter(
        file, schema, compression="zstd", write_page_index=True, write_page_checksum=True
    ) as writer:
        yield lambda batch: writer.write_table(batch.to_arrow().cast(schema), row_group_size=MAX_GROUP_ROWS)


WRITERS = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}
