"""The label store: every log-probability a reference LM was paid for, kept beside the artifacts or in an
object store, and found again by content.

`ROOT/<engine digest>/<first hex digit of doc_id>/<number>-<SHA-256>.parquet`. The digest covers all that
decides a score but the text; doc_id is the text's own digest. So rows serve any corpus, number of candidates
and division into shards, and those of other weights can never be among them.

A file whose bytes are not those its name promises is never given to a Parquet library; what it held is then
missing, and is scored again. How files are kept: ledger_directories.py and ledger_bucket.py.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import polars as pl

from data_contracts.contract import fact, read_documents, read_rows, write_shard
from data_contracts.failure import Failure
from data_contracts.ledger import LEDGER
from data_contracts.places import Place
from stages.identity.digest import short_digest
from stages.scoring.ledger_bucket import Bucket
from stages.scoring.ledger_directories import Directories
from stages.scoring.ledger_files import FileStore, Folder, Write, explained, is_intact

KEYS = ["doc_id", "query_chunk", "candidate_chunk"]


def file_store(root: Place) -> FileStore:
    """What keeps the files of the ledger at `root`.

    Raises:
        Failure: (exit code 5) if an object store cannot be opened.
    """
    return Bucket(root) if isinstance(root, str) else Directories(root)


class Ledger:
    """The rows of one scorer: its engine's identity and the length of a chunk."""

    def __init__(self, root: Place, scorer: Mapping[str, object]):
        self.scorer, self.name, self.files = dict(scorer), short_digest(dict(scorer)), file_store(root)
        self.place = f"{root}/{self.name}"

    def read(self, doc_ids: pl.Series) -> pl.DataFrame:
        """All rows of these documents, each pair once: doc_id, query_chunk, candidate_chunk, halves. Sets
        corrupt files aside.

        Raises:
            Failure: (exit code 3) for a doc_id that is none; (5) if the ledger cannot be locked or reached.
        """
        asked = pl.DataFrame({"doc_id": doc_ids.unique()})
        found = list[pl.DataFrame]()
        for digit, documents in _by_digit(asked):
            folder = self.files.folder(self.name, digit)
            with folder.held() as files:
                for path in files:
                    found += self._read_file(folder, path, documents)
        return self._each_once(found)

    def append(self, rows: pl.DataFrame) -> None:
        """Keep `rows` (the columns that `read` gives, in any order, no pair twice), unless their pairs have
        been kept before.

        Raises:
            Failure: (exit code 3) if a row breaks the contract `ledger`, and its directory stays as it is;
                (5) if that cannot be locked or reached.
        """
        for digit, part in _by_digit(rows):
            folder = self.files.folder(self.name, digit)
            folder.append(self._writing(part), partial(self._merged, folder))

    def _merged(self, folder: Folder, files: list[Path]) -> tuple[list[Path], Write]:
        """The files that can be read, and what writes their rows as one file."""
        blocks = {path: self._read_file(folder, path) for path in files}
        read = [path for path in files if blocks[path]]
        return read, self._writing(self._each_once([block for path in read for block in blocks[path]]))

    def _each_once(self, blocks: list[pl.DataFrame]) -> pl.DataFrame:
        """The rows of some files in their order, each pair once: the first, or the lowest where the order of
        files says nothing.
        """
        rows = pl.concat([pl.DataFrame(pl.from_arrow(LEDGER.schema.empty_table())), *blocks])
        if not self.files.ordered:
            halves = pl.col("halves").arr
            rows = rows.sort(*KEYS, halves.first(), halves.last())
        return rows.unique(KEYS, keep="first", maintain_order=True)

    def _writing(self, rows: pl.DataFrame) -> Write:
        def write(path: Path) -> None:
            ordered = rows.sort(KEYS).to_arrow()
            columns = {name: ordered.column(name) for name in LEDGER.schema.names}
            write_shard(LEDGER, LEDGER.table(columns, scorer=self.scorer), path)

        return write

    def _read_file(
        self, folder: Folder, path: Path, documents: pl.DataFrame | None = None
    ) -> list[pl.DataFrame]:
        """The rows of `documents`, or all, by row group; no rows if the file had to be set aside."""
        with explained(path.parent):
            intact = is_intact(path)
        try:
            if not intact:
                raise LEDGER.violated(str(path), "its SHA-256 is not the one in its name")
            found = []
            blocks = (
                read_rows(LEDGER, path, 0, 2**62)
                if documents is None
                else read_documents(LEDGER, path, documents["doc_id"])
            )
            for table in blocks:
                if fact(table, "scorer") != self.scorer:
                    raise LEDGER.violated(str(path), f"its rows are of another scorer than {self.name}")
                rows = pl.DataFrame(pl.from_arrow(table))
                found.append(rows if documents is None else rows.join(documents, on="doc_id", how="semi"))
            return found
        except Failure as failure:
            done = folder.set_aside(path)
            logging.getLogger(__name__).warning("%s; %s, its pairs are scored again", failure, done)
            return []


def _by_digit(rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    # Labels come from elsewhere too, and a doc_id of theirs becomes a path here.
    if not rows["doc_id"].str.contains("^[0-9a-f]{16}$").all():
        raise LEDGER.violated("a table", "a doc_id that is not 16 hex digits")
    parts = rows.group_by(pl.col("doc_id").str.head(1).alias("digit"), maintain_order=True)
    return ((str(digit), part) for (digit,), part in parts)
