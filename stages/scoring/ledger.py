"""The label store: every log-probability a reference LM was paid for, kept beside the artifacts and found
again by content.

`ROOT/<engine digest>/<first hex digit of doc_id>/<number>-<SHA-256>.parquet`. The digest covers all that
decides a score but the text; doc_id is the text's own digest. So rows serve any corpus, number of candidates
and division into shards, and those of other weights can never be among them.

An append is one new file; the lowest number wins where two writers scored a pair. A directory has one lock,
which the kernel frees when its holder dies. Killed at any point a writer leaves a hidden file, which is
overwritten, or, when merging, old files beside the one that repeats them, which changes no answer. A file
whose bytes are not those its name promises is set aside as `*.corrupt` before any Parquet library sees it;
what it held is then missing, and is scored again.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from data_contracts.contract import fact, read_documents, read_rows, sha256, write_shard
from data_contracts.failure import Exit, Failure
from data_contracts.ledger import LEDGER
from stages.identity.digest import short_digest

KEYS = ["doc_id", "query_chunk", "candidate_chunk"]
MAX_FILES = 64
FULL_BYTES = 16 * 2**20  # about 1.7 million rows; a file of this size is not merged again


class Ledger:
    """The rows of one scorer: its engine's identity and the length of a chunk."""

    def __init__(self, root: Path, scorer: Mapping[str, object]):
        self.scorer = dict(scorer)
        self.directory = root / short_digest(self.scorer)

    def read(self, doc_ids: pl.Series) -> pl.DataFrame:
        """All rows of these documents, each pair once: doc_id, query_chunk, candidate_chunk, halves. Sets
        corrupt files aside.

        Raises:
            Failure: (exit code 3) for a doc_id that is none; (5) if the ledger cannot be locked.
        """
        asked = pl.DataFrame({"doc_id": doc_ids.unique()})
        found = [pl.DataFrame(pl.from_arrow(LEDGER.schema.empty_table()))]
        for digit, documents in _by_digit(asked):
            if (self.directory / digit).is_dir():
                with held(self.directory / digit) as files:
                    for path in files:
                        found += self._read_file(path, documents)
        return pl.concat(found).unique(KEYS, keep="first", maintain_order=True)

    def append(self, rows: pl.DataFrame) -> None:
        """Keep `rows` (the columns that `read` gives, in any order, no pair twice), unless their pairs have
        been kept before.

        Raises:
            Failure: (exit code 3) if a row breaks the contract `ledger`, and its directory stays as it is;
                (5) if that cannot be locked.
        """
        for digit, part in _by_digit(rows):
            directory = self.directory / digit
            directory.mkdir(parents=True, exist_ok=True)
            with held(directory) as files:
                files.append(self._publish(part, directory, _number(files[-1]) + 1 if files else 0))
                newest = _not_full(files)
                if len(newest) > MAX_FILES:
                    self._merge(newest)

    def _read_file(self, path: Path, documents: pl.DataFrame | None = None) -> list[pl.DataFrame]:
        """The rows of `documents`, or all, by row group; no rows if the file had to be set aside."""
        try:
            if not is_intact(path):
                raise LEDGER.violated(str(path), "its SHA-256 is not the one in its name")
            found = []
            blocks = (
                read_rows(LEDGER, path, 0, 2**62)
                if documents is None
                else read_documents(LEDGER, path, documents["doc_id"])
            )
            for table in blocks:
                if fact(table, "scorer") != self.scorer:
                    raise LEDGER.violated(
                        str(path), f"its rows are of another scorer than {self.directory.name}"
                    )
                rows = pl.DataFrame(pl.from_arrow(table))
                found.append(rows if documents is None else rows.join(documents, on="doc_id", how="semi"))
            return found
        except Failure as failure:
            path.replace(path.with_name(f"{path.name}.corrupt"))
            logging.getLogger(__name__).warning(
                "%s; set aside as *.corrupt, its pairs are scored again", failure
            )
            return []

    def _publish(self, rows: pl.DataFrame, directory: Path, number: int) -> Path:
        """Write one file under the lock; it has its name, and so exists, only when it is whole."""
        for leftover in directory.glob("..next.*.tmp"):
            leftover.unlink()
        ordered = rows.sort(KEYS).to_arrow()
        hidden = directory / ".next"
        write_shard(
            LEDGER,
            LEDGER.table({name: ordered.column(name) for name in LEDGER.schema.names}, scorer=self.scorer),
            hidden,
        )
        return hidden.replace(directory / f"{number:010d}-{sha256(hidden)}.parquet")

    def _merge(self, files: list[Path]) -> None:
        """Replace consecutive files by one that comes where the first of them came."""
        rows = [block for path in files for block in self._read_file(path)]
        if rows:
            merged = self._publish(
                pl.concat(rows).unique(KEYS, keep="first", maintain_order=True),
                files[0].parent,
                _number(files[0]),
            )
            for path in files:
                if path != merged:
                    path.unlink(missing_ok=True)


@contextlib.contextmanager
def held(directory: Path) -> Iterator[list[Path]]:
    """The files of one directory, oldest first, while nobody else reads or changes it.

    Raises:
        Failure: (exit code 5) if the directory cannot be locked.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(open(directory / "lock", "ab"))
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            remedy = "set runtime.ledger to a directory that you may write to, on a file system with locks"
            raise Failure(
                f"{directory} of the ledger cannot be locked", str(error.strerror), remedy, Exit.ENVIRONMENT
            ) from error
        yield sorted(directory.glob("[0-9]*.parquet"))


def is_intact(path: Path) -> bool:
    """Whether a file's bytes are those that its name promises."""
    return path.stem.endswith(f"-{sha256(path)}")


def _by_digit(rows: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    # Labels come from elsewhere too, and a doc_id of theirs becomes a path here.
    if not rows["doc_id"].str.contains("^[0-9a-f]{16}$").all():
        raise LEDGER.violated("a table", "a doc_id that is not 16 hex digits")
    parts = rows.group_by(pl.col("doc_id").str.head(1).alias("digit"), maintain_order=True)
    return ((str(digit), part) for (digit,), part in parts)


def _number(path: Path) -> int:
    return int(path.name.partition("-")[0])


def _not_full(files: list[Path]) -> list[Path]:
    """The newest files, back to the last full one: merging only neighbours keeps the first writer's row the
    first.
    """
    full = [place for place, path in enumerate(files) if path.stat().st_size >= FULL_BYTES]
    return files[full[-1] + 1 if full else 0 :]
