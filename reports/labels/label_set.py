"""A label artifact opened for looking at: an index of its documents and queries, and the rows and texts of
one document at a time.

The index takes one pass over the labels and is kept by the digest of what it was made from, so a set of
millions of queries opens at once the second time. Every file is verified against its manifest while the index
is made; after that, page checksums guard what is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from data_contracts.candidates import LABELS
from data_contracts.contract import Contract, open_artifact, read_rows
from data_contracts.documents import DOCUMENTS
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS
from data_contracts.whole_files import write_atomically
from reports.labels.index import Progress, make_index

INDEX_VERSION = 3


@dataclass(frozen=True)
class LabelledDocument:
    """A document that has labels, as in a row of `LabelSet.documents`."""

    doc_id: str
    split: str
    source: str
    shard: str
    chunks: int
    queries: int
    pairs: int
    positive: int
    best_mean: float

    @property
    def name(self) -> str:
        """Its source, or the id of one without."""
        return self.source or self.doc_id

    @property
    def positive_rate(self) -> float:
        """The share of its pairs with s_t > 0."""
        return self.positive / self.pairs


DOCUMENT = [field.name for field in fields(LabelledDocument)]


@dataclass(frozen=True)
class LabelSet:
    """Labels with the chunks and documents they speak of.

    Attributes:
        documents: one row a labelled document, in the order of the corpus: doc_id, split, source; chunks
            (full or not), queries, pairs; positive (pairs with s_t > 0), best_mean (mean over its queries of
            the best s_t, nats), best_max; sparks (list of `SPARKS` means of the best s_t along the document,
            null where no query lies); shard, label_begin, label_end, chunk_begin, chunk_end (rows).
        scorer: the identity of the engine and model, as the labels state it.
        chunk_tokens: m.
    """

    directory: Path
    digest: str
    documents: pl.DataFrame
    scorer: Mapping[str, object]
    stride_chunks: int
    sequence_chunks: int
    chunk_tokens: int
    index: Path

    def queries(self, shard: int) -> pl.DataFrame:
        """Every query of the `shard`-th shard that has labels, in their order: document (row of `documents`),
        query_chunk; best (its best s_t, nats), best_rank (the BM25 rank of that candidate, from 0),
        candidate (its chunk), first (s_t of BM25's first candidate).

        Raises:
            Failure: (exit code 3) if the index cannot be read.
        """
        path = _queries_beside(self.index)
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                return pl.DataFrame(pl.from_arrow(file.read_row_group(shard)))
        except (OSError, pa.ArrowException) as error:
            raise Failure(
                f"the index {path}",
                f"unreadable: {error}",
                f"delete {path.parent}; it is made again",
                Exit.CONTRACT,
            ) from error

    def labels(self, doc_id: str) -> pl.DataFrame:
        """The rows of one document, by query and rank.

        Raises:
            Failure: (exit code 2) if the set has no such document; (3) if its rows cannot be read.
        """
        return self._read(LABELS, self.directory, self._row(doc_id), "label")

    def chunks(self, doc_id: str) -> pl.DataFrame:
        """All chunks of one document: chunk, token_ids, text; raises like `labels`."""
        return self._read(CHUNKS, self.directory.with_name("chunks"), self._row(doc_id), "chunk")

    def labels_of(self, doc_ids: Iterable[str], columns: list[str]) -> pl.DataFrame:
        """Some columns, doc_id among them, of the rows of several documents in the order of the set. What
        lies between the first and the last of a shard is read, so neighbours cost least; raises like
        `labels`."""
        return self._read(LABELS, self.directory, self._rows_of(doc_ids), "label", columns)

    def chunks_of(self, doc_ids: Iterable[str], columns: list[str]) -> pl.DataFrame:
        """The same of their chunks."""
        return self._read(
            CHUNKS, self.directory.with_name("chunks"), self._rows_of(doc_ids), "chunk", columns
        )

    def _rows_of(self, doc_ids: Iterable[str]) -> pl.DataFrame:
        return self.documents.filter(pl.col("doc_id").is_in(list(doc_ids)))

    def _read(
        self,
        contract: Contract,
        directory: Path,
        documents: pl.DataFrame,
        kind: str,
        columns: list[str] | None = None,
    ) -> pl.DataFrame:
        parts = []
        for (shard,), group in documents.group_by("shard", maintain_order=True):
            spans = group.select("doc_id", f"{kind}_begin", f"{kind}_end")
            doc_ids, begins, ends = spans.iter_columns()
            path = directory / str(shard)
            blocks = read_rows(contract, path, begins.to_numpy().min(), ends.to_numpy().max())
            frames = [
                pl.DataFrame(pl.from_arrow(rows.select(columns) if columns else rows)) for rows in blocks
            ]
            part = pl.concat(frame.filter(pl.col("doc_id").is_in(doc_ids.implode())) for frame in frames)
            if len(part) != (ends - begins).sum():
                raise contract.violated(str(path), "it changed while it was looked at; open the labels again")
            parts.append(part)
        return pl.concat(parts)

    def document(self, doc_id: str) -> LabelledDocument:
        """One document; raises like `labels`."""
        return LabelledDocument(**self._row(doc_id).select(DOCUMENT).row(0, named=True))

    def _row(self, doc_id: str) -> pl.DataFrame:
        found = self.documents.filter(pl.col("doc_id") == doc_id)
        if found.is_empty():
            cause = f"{self.directory} has labels for {len(self.documents):,} documents and none with this id"
            raise Failure(
                f"document {doc_id!r}",
                cause,
                "`./rpt labels stats` names documents; ids have 16 hex digits",
                Exit.USAGE,
            )
        return found.head(1)


def open_label_set(directory: Path, cache: Path, progress: Progress = lambda done, total: None) -> LabelSet:
    """The labels in `directory`, whose `chunks` and `documents` stand beside it; their index is kept in the
    directory `cache`.

    Raises:
        Failure: (exit code 3) if one of the three is missing, is not what its manifest says, or does not
            belong to the others.
    """
    labels = open_artifact(LABELS, directory)
    chunks = open_artifact(CHUNKS, directory.with_name("chunks"))
    documents = open_artifact(DOCUMENTS, directory.with_name("documents"))
    digest = hashlib.sha256(
        f"{INDEX_VERSION} {labels.digest} {chunks.digest} {documents.digest}".encode()
    ).hexdigest()[:32]
    kept = cache / f"{digest}.parquet"
    index = read_index(kept)
    if index is None:
        cache.mkdir(parents=True, exist_ok=True)
        index, queries = make_index(labels, chunks, documents, progress)
        write_atomically(_queries_beside(kept), as_parquet(queries))
        write_atomically(kept, as_parquet([index]))
    return LabelSet(
        directory,
        labels.digest,
        index,
        labels.fact("scorer"),
        labels.fact("stride_chunks"),
        labels.fact("sequence_chunks"),
        chunks.fact("chunk_tokens"),
        kept,
    )


def read_index(index: Path) -> pl.DataFrame | None:
    """An index that was kept, or None if there is none that is intact."""
    try:
        with pq.ParquetFile(index, page_checksum_verification=True) as file:
            return pl.DataFrame(pl.from_arrow(file.read()))
    except (OSError, pa.ArrowException):
        return None


def _queries_beside(index: Path) -> Path:
    return index.with_name(f"{index.stem}.queries.parquet")


def as_parquet(parts: list[pl.DataFrame]) -> bytes:
    """The parts as one file, each a row group of its own."""
    tables = [part.to_arrow() for part in parts]
    with pa.BufferOutputStream() as sink:
        with pq.ParquetWriter(sink, tables[0].schema, write_page_checksum=True) as writer:
            for table in tables:
                writer.write_table(table, row_group_size=max(1, table.num_rows))
        return sink.getvalue().to_pybytes()
