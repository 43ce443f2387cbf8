"""A label artifact opened for looking at: an index of its documents, and the rows and texts of one document at a time.

The index takes one pass over the labels and is kept by the digest of what it was made from, so a set of millions of queries opens at
once the second time. Every file is verified against its manifest while the index is made; after that, page checksums guard what is read.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from data_contracts.candidates import LABELS
from data_contracts.contract import Artifact, Contract, open_artifact, read_columns, read_rows, sha256, write_atomically
from data_contracts.documents import DOCUMENTS
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS

SPARKS = 48  # points of a document's sparkline
INDEX_VERSION = 1


@dataclass(frozen=True)
class LabelSet:
    """Labels with the chunks and documents they speak of.

    Attributes:
        documents: one row a labelled document, in the order of the corpus: doc_id, split, source; chunks (full or not), queries, pairs;
            positive (pairs with s_t > 0), best_mean (mean over its queries of the best s_t, nats), best_max; sparks (list of `SPARKS` means
            of the best s_t along the document, null where no query lies); shard, label_begin, label_end, chunk_begin, chunk_end (rows).
        scorer: the identity of the engine and model, as the labels state it.
        chunk_tokens: m.
    """

    directory: Path
    digest: str
    documents: pl.DataFrame
    scorer: dict
    stride_chunks: int
    sequence_chunks: int
    chunk_tokens: int

    def labels(self, doc_id: str) -> pl.DataFrame:
        """The rows of one document, by query and rank.

        Raises:
            Failure: (exit code 2) if the set has no such document; (3) if its rows cannot be read.
        """
        return self._rows(LABELS, self.directory, [self.place(doc_id)], "label")

    def chunks(self, doc_id: str) -> pl.DataFrame:
        """All chunks of one document: chunk, token_ids, text; raises like `labels`."""
        return self._rows(CHUNKS, self.directory.with_name("chunks"), [self.place(doc_id)], "chunk")

    def labels_of(self, doc_ids: Iterable[str], columns: list[str]) -> pl.DataFrame:
        """Some columns, doc_id among them, of the rows of several documents in the order of the set. What lies between the first and the
        last of a shard is read, so neighbours cost least; raises like `labels`."""
        return self._rows(LABELS, self.directory, self._places(doc_ids), "label", columns)

    def chunks_of(self, doc_ids: Iterable[str], columns: list[str]) -> pl.DataFrame:
        """The same of their chunks."""
        return self._rows(CHUNKS, self.directory.with_name("chunks"), self._places(doc_ids), "chunk", columns)

    def _places(self, doc_ids: Iterable[str]) -> list[dict]:
        return self.documents.filter(pl.col("doc_id").is_in(list(doc_ids))).rows(named=True)

    def _rows(self, contract: Contract, directory: Path, places: list[dict], kind: str, columns: list[str] | None = None) -> pl.DataFrame:
        parts = []
        for shard, group in itertools.groupby(places, key=lambda place: place["shard"]):
            spans = pl.DataFrame([(place["doc_id"], place[f"{kind}_begin"], place[f"{kind}_end"]) for place in group], orient="row")
            doc_ids, begins, ends = spans.iter_columns()
            blocks = read_rows(contract, directory / shard, begins.to_numpy().min(), ends.to_numpy().max())
            frames = [pl.DataFrame(pl.from_arrow(rows.select(columns) if columns else rows)) for rows in blocks]
            part = pl.concat(frame.filter(pl.col("doc_id").is_in(doc_ids.implode())) for frame in frames)
            if len(part) != (ends - begins).sum():
                raise contract.violated(str(directory / shard), "it changed while it was looked at; open the labels again")
            parts.append(part)
        return pl.concat(parts)

    def place(self, doc_id: str) -> dict:
        """The row of `documents` of one document; raises like `labels`."""
        found = self.documents.filter(pl.col("doc_id") == doc_id)
        if found.is_empty():
            cause = f"{self.directory} has labels for {len(self.documents):,} documents and none with this id"
            raise Failure(f"document {doc_id!r}", cause, "`./rpt labels stats` names documents; ids have 16 hex digits", Exit.USAGE)
        return found.row(0, named=True)


def open_label_set(directory: Path, cache: Path) -> LabelSet:
    """The labels in `directory`, whose `chunks` and `documents` stand beside it; their index is kept in the directory `cache`.

    Raises:
        Failure: (exit code 3) if one of the three is missing, is not what its manifest says, or does not belong to the others.
    """
    labels = open_artifact(LABELS, directory)
    chunks = open_artifact(CHUNKS, directory.with_name("chunks"))
    documents = open_artifact(DOCUMENTS, directory.with_name("documents"))
    digest = hashlib.sha256(f"{INDEX_VERSION} {labels.digest} {chunks.digest} {documents.digest}".encode()).hexdigest()[:32]
    kept = cache / f"{digest}.parquet"
    if not kept.exists():
        index = _index(labels, chunks, documents)
        cache.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, _parquet(index))
    return LabelSet(
        directory,
        labels.digest,
        pl.read_parquet(kept),
        labels.fact("scorer"),
        labels.fact("stride_chunks"),
        labels.fact("sequence_chunks"),
        chunks.fact("chunk_tokens"),
    )


def _parquet(frame: pl.DataFrame) -> bytes:
    with pa.BufferOutputStream() as sink:
        pq.write_table(frame.to_arrow(), sink)
        return sink.getvalue().to_pybytes()


def _index(labels: Artifact, chunks: Artifact, documents: Artifact) -> pl.DataFrame:
    parts = []
    for shard in labels.shards:
        rows = _columns(labels, shard, ["doc_id", "split", "query_chunk", "target_score"])
        if not rows.is_empty():
            known = _columns(chunks, shard, ["doc_id"])
            parts.append(_of_shard(rows, known, shard))
    if not parts:
        raise LABELS.violated(str(labels.directory), "there is not one label")
    index = pl.concat(parts)
    if index["chunk_begin"].has_nulls():
        raise LABELS.violated(str(labels.directory), f"{chunks.directory} lacks a document that has labels")
    sources = pl.concat([_columns(documents, shard, ["doc_id", "source"]) for shard in documents.shards])
    return index.join(sources, on="doc_id", how="left", maintain_order="left").with_columns(pl.col("source").fill_null(""))


def _columns(artifact: Artifact, shard: str, names: list[str]) -> pl.DataFrame:
    path = artifact.directory / shard
    if shard not in artifact.shards or not path.exists() or sha256(path) != artifact.shards[shard]["sha256"]:
        raise artifact.contract.violated(str(path), "it is missing, or not what the manifest says")
    return pl.DataFrame(pl.from_arrow(read_columns(artifact.contract, path, names)))


def _of_shard(labels: pl.DataFrame, chunks: pl.DataFrame, shard: str) -> pl.DataFrame:
    lengths = _runs(chunks, "chunk").select("doc_id", "chunk_begin", "chunk_end", chunks=pl.col("chunk_end") - pl.col("chunk_begin"))
    best = labels.group_by("doc_id", "query_chunk", maintain_order=True).agg(pl.col("target_score").max())
    queries = best.group_by("doc_id", maintain_order=True).agg(
        queries=pl.len(), best_mean=pl.col("target_score").mean(), best_max=pl.col("target_score").max()
    )
    pairs = labels.group_by("doc_id", maintain_order=True).agg(
        split=pl.col("split").first(), pairs=pl.len(), positive=(pl.col("target_score") > 0).sum()
    )
    index = _runs(labels, "label")
    for part in (pairs, queries, lengths):
        index = index.join(part, on="doc_id", how="left", maintain_order="left")
    sparks = _sparks(best, lengths)
    return index.join(sparks, on="doc_id", how="left", maintain_order="left").with_columns(shard=pl.lit(shard))


def _runs(rows: pl.DataFrame, kind: str) -> pl.DataFrame:
    """First row and row after the last of each document; rows of a document stand together."""
    return (
        rows.select("doc_id")
        .with_row_index("row")
        .group_by("doc_id", maintain_order=True)
        .agg(pl.col("row").first().cast(pl.Int64).alias(f"{kind}_begin"), (pl.col("row").last().cast(pl.Int64) + 1).alias(f"{kind}_end"))
    )


def _sparks(best: pl.DataFrame, lengths: pl.DataFrame) -> pl.DataFrame:
    """The mean best s_t in each of `SPARKS` equal stretches of a document."""
    placed = best.join(lengths, on="doc_id", how="left").with_columns(spark=pl.col("query_chunk") * SPARKS // pl.col("chunks"))
    means = placed.group_by("doc_id", "spark").agg(pl.col("target_score").mean())
    grid = best.select(pl.col("doc_id").unique(maintain_order=True)).join(pl.DataFrame({"spark": range(SPARKS)}), how="cross")
    whole = grid.with_columns(pl.col("spark").cast(means["spark"].dtype)).join(
        means, on=["doc_id", "spark"], how="left", maintain_order="left"
    )
    return whole.group_by("doc_id", maintain_order=True).agg(pl.col("target_score").alias("sparks"))
