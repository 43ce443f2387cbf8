"""Records of a Parquet file, one a row. Rows that are known to be there are counted, whether they can be used
or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from data_contracts.failure import Exit, Failure
from stages.ingestion.data_files import KINDS, suffixes
from stages.ingestion.records import Record, Rejection, record_of
from stages.ingestion.sources import SourceFile, open_binary
from stages.ingestion.streams import BLOCK_BYTES, UNREADABLE
from stages.parameters import Corpus

MAGIC = b"PAR1"


@dataclass(frozen=True)
class Columns:
    """What the Parquet file `name` has in the columns that a corpus reads: column -> `text`, its type, or
    `missing`; and all columns.
    """

    name: str
    read: dict[str, str]
    schema: str


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this Arrow type gives strings, in whatever form Arrow keeps them."""
    if isinstance(kind, pa.BaseExtensionType):
        return is_text(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return is_text(kind.value_type)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def expected_columns(files: list[SourceFile], corpus: Corpus) -> Columns | None:
    """Of the first Parquet file that has rows: what the others must have too. None if there is no
    such file.
    """
    for file in files:
        if (
            file.refusal
            or (KINDS.get(suffixes(file.name)[0]) if corpus.format == "auto" else corpus.format) != "parquet"
        ):
            continue
        try:
            with open_binary(file) as stream, pq.ParquetFile(stream) as reader:
                if reader.metadata.num_rows:
                    return _columns(file.name, reader.schema_arrow, corpus)
        except UNREADABLE:
            continue
    return None


def _columns(name: str, schema: pa.Schema, corpus: Corpus) -> Columns:
    found = {column: str(schema.field(column).type) for column in schema.names}
    column = corpus.text_column
    text = "text" if column in found and is_text(schema.field(column).type) else found.get(column, "missing")
    filters = {field.split(".")[0] for field in corpus.where}
    return Columns(
        name,
        {column: text, **{other: "there" if other in found else "missing" for other in filters - {column}}},
        str(found),
    )


def _refuse_other(found: Columns, expected: Columns) -> None:
    if found.read != expected.read:
        cause = f"{expected.name} has {expected.schema[:500]}; {found.name} has {found.schema[:500]}"
        remedy = (
            "give the column of the text one name in all files (corpora.<name>.text_column), or take files of"
            " one kind (include)"
        )
        raise Failure(
            "the Parquet files of the corpus differ in the columns that are read", cause, remedy, Exit.USAGE
        )


def parquet_records(
    file: SourceFile, corpus: Corpus, expected: Columns | None = None
) -> Iterator[Record | Rejection]:
    """Every record of a Parquet file.

    Raises:
        Failure: (exit code 2) if it has other columns than `expected`, of those that are read.
    """
    position, rows = 0, 0
    try:
        with open_binary(file) as stream, pq.ParquetFile(stream) as reader:
            rows, columns = reader.metadata.num_rows, _columns(file.name, reader.schema_arrow, corpus)
            if expected and rows:
                _refuse_other(columns, expected)
            if columns.read[corpus.text_column] not in ("text", "null"):
                detail = _unusable(corpus.text_column, columns)
                yield from (Rejection(file.name, row, "not_text", detail) for row in range(1, rows + 1))
                return
            for item in _rows(reader, corpus):
                position += 1
                yield record_of(file.name, position, item, corpus)
    except (*UNREADABLE, UnicodeDecodeError) as error:
        detail = f"after row {position}: {type(error).__name__}: {error}"[:500]
        lost = range(position + 1, rows + 1) if rows else range(1)
        yield from (Rejection(file.name, row, "unreadable", detail) for row in lost)


def _unusable(column: str, columns: Columns) -> str:
    if columns.read[column] == "missing":
        return f"no column {column!r}, found {columns.schema}"[:500]
    return f"column {column!r} is {columns.read[column]}"


def _rows(reader: pq.ParquetFile, corpus: Corpus) -> Iterator[dict]:
    wanted = {corpus.text_column, "license", *(field.split(".")[0] for field in corpus.where)} & set(
        reader.schema_arrow.names
    )
    for group in range(reader.num_row_groups):
        size = reader.metadata.row_group(group)
        rows = max(1, min(1024, BLOCK_BYTES * size.num_rows // max(size.total_byte_size, 1)))
        for batch in reader.iter_batches(rows, row_groups=[group], columns=sorted(wanted)):
            yield from batch.to_pylist()
