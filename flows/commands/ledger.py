"""`rpt ledger`: what the label store holds, and how it is made again from labels."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa

from data_contracts.candidates import LABELS
from data_contracts.contract import fact, open_artifact, read_columns, read_rows
from data_contracts.ledger import LEDGER
from data_contracts.places import Place
from stages.scoring.ledger import KEYS, Ledger, file_store
from stages.scoring.ledger_files import FileStore, is_intact


def stats(root: Place) -> list[dict]:
    """One row for every scorer: its digest and identity, pairs, files, bytes, and the files that are corrupt
    or were set aside as such.

    Raises:
        Failure: (exit code 5) if the ledger cannot be locked or reached.
    """
    kept = file_store(root)
    return [_of_scorer(kept, scorer) for scorer in kept.scorers()]


def _of_scorer(kept: FileStore, digest: str) -> dict:
    pairs, sizes, scorer, corrupt = 0, list[int](), None, list[str]()
    for digit in kept.digits(digest):
        folder = kept.folder(digest, digit)
        corrupt += folder.corrupt()
        with folder.held() as files:
            for path in filter(is_intact, files):
                sizes.append(path.stat().st_size)
                pairs += read_columns(LEDGER, path, ["query_chunk"]).num_rows
                scorer = scorer or fact(next(read_rows(LEDGER, path, 0, 1)), "scorer")
    return {
        "digest": digest,
        "scorer": scorer,
        "pairs": pairs,
        "files": len(sizes),
        "bytes": sum(sizes),
        "corrupt": sorted(corrupt),
    }


def rebuild(root: Place, labels: Path) -> int:
    """Append what a label artifact knows and the ledger lacks; returns the number of pairs.

    Raises:
        Failure: (exit code 3) if the artifact is not intact.
    """
    artifact, added = open_artifact(LABELS, labels), 0
    for shard in artifact.shards:
        table = artifact.read(shard)
        ledger = Ledger(root, fact(table, "scorer"))
        pairs = _pairs_of(table)
        missing = pairs.join(ledger.read(pairs["doc_id"]), on=KEYS, how="anti")
        ledger.append(missing)
        added += len(missing)
    return added


def _pairs_of(labels: pa.Table) -> pl.DataFrame:
    """Both sides of every label as ledger rows, each pair once."""
    rows = pl.DataFrame(pl.from_arrow(labels))
    candidates = rows.select(*KEYS, halves="candidate_halves")
    local = rows.select(
        "doc_id", "query_chunk", candidate_chunk=pl.col("query_chunk") - 2, halves="local_halves"
    )
    return pl.concat([candidates, local]).unique(KEYS)
