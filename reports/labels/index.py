"""The index of a label artifact: a row a document with what is shown of it in a list, and a row a query with
its best candidate.

It takes one pass over the labels. Every file is verified against its manifest on the way.
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from data_contracts import counting
from data_contracts.candidates import LABELS
from data_contracts.contract import Artifact, read_columns
from data_contracts.whole_files import sha256

SPARKS = 48  # points of a document's sparkline
Progress = Callable[[int, int], None]  # shards done, of how many


def make_index(
    labels: Artifact, chunks: Artifact, documents: Artifact, progress: Progress
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """The rows of `LabelSet.documents`, and of `LabelSet.queries` by shard.

    Raises:
        Failure: (exit code 3) if a file is not what its manifest says, or the three artifacts do not belong
            together.
    """
    parts, queries, before = list[pl.DataFrame](), list[pl.DataFrame](), 0
    for done, shard in enumerate(labels.shards):
        progress(done, len(labels.shards))
        rows = verified_columns(
            labels, shard, ["doc_id", "split", "query_chunk", "candidate_chunk", "rank", "target_score"]
        )
        if not rows.is_empty():
            best = best_candidates(rows)
            parts.append(_of_shard(rows, best, verified_columns(chunks, shard, ["doc_id"]), shard))
            place = parts[-1].select("doc_id").with_row_index("document", before)
            queries.append(best.join(place, on="doc_id", how="left", maintain_order="left").drop("doc_id"))
            before += len(place)
    if not parts:
        raise LABELS.violated(str(labels.directory), "there is not one label")
    index = pl.concat(parts)
    if index["chunk_begin"].has_nulls():
        raise LABELS.violated(str(labels.directory), f"{chunks.directory} lacks a document that has labels")
    sources = pl.concat(
        [verified_columns(documents, shard, ["doc_id", "source"]) for shard in documents.shards]
    )
    progress(len(labels.shards), len(labels.shards))
    return (
        index.join(sources, on="doc_id", how="left", maintain_order="left").with_columns(
            pl.col("source").fill_null("")
        ),
        queries,
    )


def best_candidates(rows: pl.DataFrame) -> pl.DataFrame:
    """The best candidate of each query; of equal ones the one that BM25 ranks first."""
    return rows.group_by("doc_id", "query_chunk", maintain_order=True).agg(
        best=pl.col("target_score").max(),
        best_rank=pl.col("rank").get(pl.col("target_score").arg_max()),
        candidate=pl.col("candidate_chunk").get(pl.col("target_score").arg_max()),
        first=pl.col("target_score").first(),
    )


def verified_columns(artifact: Artifact, shard: str, names: list[str]) -> pl.DataFrame:
    """Some columns of a shard whose bytes are those that the manifest promises.

    Raises:
        Failure: (exit code 3) if they are not.
    """
    path = artifact.directory / shard
    if shard not in artifact.shards or not path.exists() or sha256(path) != artifact.shards[shard]["sha256"]:
        raise artifact.contract.violated(str(path), "it is missing, or not what the manifest says")
    return pl.DataFrame(pl.from_arrow(read_columns(artifact.contract, path, names)))


def _of_shard(labels: pl.DataFrame, best: pl.DataFrame, chunks: pl.DataFrame, shard: str) -> pl.DataFrame:
    lengths = _runs(chunks, "chunk").select(
        "doc_id", "chunk_begin", "chunk_end", chunks=pl.col("chunk_end") - pl.col("chunk_begin")
    )
    queries = best.group_by("doc_id", maintain_order=True).agg(
        queries=counting.rows(),
        best_mean=counting.in_order(pl.col("best")) / counting.rows(),
        best_max=pl.col("best").max(),
    )
    pairs = labels.group_by("doc_id", maintain_order=True).agg(
        split=pl.col("split").first(),
        pairs=counting.rows(),
        positive=counting.how_many(pl.col("target_score") > 0),
    )
    index = _runs(labels, "label")
    for part in (pairs, queries, lengths):
        index = index.join(part, on="doc_id", how="left", maintain_order="left")
    sparks = _sparks(best, lengths)
    return index.join(sparks, on="doc_id", how="left", maintain_order="left").with_columns(
        shard=pl.lit(shard)
    )


def _runs(rows: pl.DataFrame, kind: str) -> pl.DataFrame:
    """First row and row after the last of each document; rows of a document stand together."""
    return (
        rows.select("doc_id")
        .with_row_index("row")
        .group_by("doc_id", maintain_order=True)
        .agg(
            pl.col("row").first().cast(pl.Int64).alias(f"{kind}_begin"),
            (pl.col("row").last().cast(pl.Int64) + 1).alias(f"{kind}_end"),
        )
    )


def _sparks(best: pl.DataFrame, lengths: pl.DataFrame) -> pl.DataFrame:
    """The mean best s_t in each of `SPARKS` equal stretches of a document."""
    placed = best.join(lengths, on="doc_id", how="left", maintain_order="left").with_columns(
        spark=pl.col("query_chunk") * SPARKS // pl.col("chunks")
    )
    means = placed.group_by("doc_id", "spark").agg(counting.in_order(pl.col("best")) / counting.rows())
    grid = best.select(pl.col("doc_id").unique(maintain_order=True)).join(
        pl.DataFrame({"spark": range(SPARKS)}), how="cross"
    )
    whole = grid.with_columns(pl.col("spark").cast(means["spark"].dtype)).join(
        means, on=["doc_id", "spark"], how="left", maintain_order="left"
    )
    return whole.group_by("doc_id", maintain_order=True).agg(pl.col("best").alias("sparks"))
