"""The index of an evaluation artifact: a row a document and setting with its sums and where its rows lie.

It takes one pass over the narrow columns, a shard at a time, in which every file is verified against its
manifest, and is kept by the digest of the artifact, so that millions of rows open at once the second time.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl

from data_contracts import counting
from data_contracts.contract import Artifact
from data_contracts.whole_files import write_atomically
from reports.labels.index import SPARKS, Progress, verified_columns
from reports.labels.label_set import as_parquet, read_index

INDEX_VERSION = 1
COLUMNS = ["doc_id", "split", "system", "setting", "chunk", "loss", "tokens", "bytes"]
DOCUMENT = ["doc_id", "setting"]


def run_index(artifact: Artifact, cache: Path, progress: Progress) -> pl.DataFrame:
    """doc_id, setting, system, split; rows, tokens, bytes and loss (nats) of all its rows; spark_loss and
    spark_tokens, the sums over `SPARKS` equal stretches of the document; shard, begin and end (rows),
    directory. Kept in `cache`.

    Raises:
        Failure: (exit code 3) if a file is not what the manifest says, or there is not one row.
    """
    kept = cache / f"{hashlib.sha256(f'{INDEX_VERSION} {artifact.digest}'.encode()).hexdigest()[:32]}.parquet"
    index = read_index(kept)
    if index is None:
        parts = list[pl.DataFrame]()
        for done, shard in enumerate(artifact.shards):
            progress(done, len(artifact.shards))
            parts.append(_of_shard(verified_columns(artifact, shard, COLUMNS), shard))
        progress(len(artifact.shards), len(artifact.shards))
        if not sum(map(len, parts)):
            raise artifact.contract.violated(str(artifact.directory), "there is not one evaluated chunk")
        index = pl.concat(parts)
        cache.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, as_parquet([index]))
    return index.with_columns(directory=pl.lit(str(artifact.directory)))


def _of_shard(rows: pl.DataFrame, shard: str) -> pl.DataFrame:
    rows = rows.with_row_index("row").with_columns(
        pl.col("row").cast(pl.Int64), pl.col("loss").cast(pl.Float64)
    )
    length = pl.col("chunk").max().over("doc_id") + 2  # rows of the document when every chunk was evaluated
    stretch = ((pl.col("chunk") + 1) * SPARKS // length).cast(pl.Int32)
    sums = rows.group_by(DOCUMENT, maintain_order=True).agg(
        pl.col("system", "split").first(),
        rows=counting.rows(),
        tokens=counting.total("tokens"),
        bytes=counting.total("bytes"),
        loss=counting.in_order(pl.col("loss")),
        begin=pl.col("row").min(),
        end=pl.col("row").max() + 1,
        shard=pl.lit(shard),
    )
    return sums.join(
        _sparks(rows.with_columns(spark=stretch)), on=DOCUMENT, how="left", maintain_order="left"
    )


def _sparks(placed: pl.DataFrame) -> pl.DataFrame:
    found = placed.group_by(*DOCUMENT, "spark").agg(
        spark_loss=counting.in_order(pl.col("loss")), spark_tokens=counting.total("tokens")
    )
    grid = (
        placed.select(DOCUMENT)
        .unique(maintain_order=True)
        .join(pl.DataFrame({"spark": range(SPARKS)}), how="cross")
    )
    whole = grid.with_columns(pl.col("spark").cast(pl.Int32)).join(
        found, on=[*DOCUMENT, "spark"], how="left", maintain_order="left"
    )
    return whole.group_by(DOCUMENT, maintain_order=True).agg("spark_loss", "spark_tokens")
