"""Contracts: the only reader and writer of Parquet. Tables are checked when written and when read.

A shard is one Parquet file of whole documents with page checksums; readers verify its SHA-256 against the
manifest before any Parquet library parses it, because a flipped bit in an unverified file mostly reads back
as a wrong value, not as an error. Equal rows give equal bytes: nothing here depends on a clock, a host or a
worker count.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_contracts.failure import Exit, Failure
from data_contracts.whole_files import sha256, write_atomically

MAX_GROUP_ROWS = 20_000
MAX_GROUP_BYTES = 32 * 2**20


def field(name: str, kind: pa.DataType, description: str, unit: str = "", nullable: bool = False) -> pa.Field:
    """A column with its description and unit, both stored in the Parquet file."""
    return pa.field(name, kind, nullable=nullable, metadata={"description": description, "unit": unit})


@dataclass(frozen=True)
class Contract:
    """What one artifact promises: `check` yields a sentence for every broken row invariant; `facts` are
    required schema metadata keys.
    """

    name: str
    version: int
    schema: pa.Schema
    sort_key: tuple[str, ...]
    check: Callable[[pa.Table], Iterable[str]]
    facts: tuple[str, ...] = ()

    def table(self, columns: Mapping[str, Any], **facts: object) -> pa.Table:
        """A table of this contract from columns; `facts` are stored as JSON in the schema metadata.

        Raises:
            Failure: if a column is missing or does not fit its type.
        """
        metadata = {f"rpt.{key}": json.dumps(value, sort_keys=True) for key, value in facts.items()}
        try:
            return pa.table(columns, schema=self.schema.with_metadata(metadata))
        except (pa.ArrowInvalid, pa.ArrowTypeError, KeyError, ValueError) as error:
            raise self.violated("a table", str(error)) from error

    def violated(self, where: str, reason: str) -> Failure:
        """The failure to raise for `reason` in `where`."""
        return Failure(
            f"{where} does not keep contract `{self.name}` v{self.version}",
            reason,
            "re-run the stage that writes it",
            Exit.CONTRACT,
        )

    def validate(self, table: pa.Table, where: str) -> None:
        """Raises Failure (exit code 3) naming the first few broken promises of `table`."""
        if not table.schema.equals(self.schema, check_metadata=False):
            raise self.violated(where, f"columns are {table.schema.to_string(show_field_metadata=False)!r}")
        missing = [fact for fact in self.facts if f"rpt.{fact}".encode() not in (table.schema.metadata or {})]
        if missing:
            raise self.violated(where, f"schema metadata lacks {missing}")
        broken = [
            f"column `{column.name}` has {nulls} null values"
            for column in self.schema
            if not column.nullable and (nulls := table.column(column.name).null_count)
        ]
        if not broken and table.num_rows:
            if self.sort_key and not _is_sorted(table, self.sort_key):
                broken.append(f"rows are not sorted and unique by {self.sort_key}")
            broken.extend(self.check(table))
        if broken:
            raise self.violated(where, "; ".join(broken[:5]))


def fact(table: pa.Table, name: str) -> Any:
    """The value of one schema fact of a table read from a shard."""
    return json.loads((table.schema.metadata or {})[f"rpt.{name}".encode()])


def _is_sorted(table: pa.Table, keys: tuple[str, ...]) -> bool:
    """Rows strictly increase by `keys`, where equal doc_ids need only stand together (documents keep the
    corpus order).
    """
    earlier, later = table.slice(0, table.num_rows - 1), table.slice(1)
    increasing, equal_so_far = np.zeros(len(earlier), bool), np.ones(len(earlier), bool)
    for key in keys:
        before, after = earlier.column(key), later.column(key)
        step = (pc.not_equal if key == "doc_id" else pc.greater)(after, before).to_numpy()
        if key == "doc_id" and pc.count_distinct(table.column(key)).as_py() != step.sum() + 1:
            return False
        increasing |= equal_so_far & step
        equal_so_far &= pc.equal(after, before).to_numpy()
    return bool(increasing.all())


class _BlockOrder:
    """Whether each block of a shard goes on where the block before it ended."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self.keys = keys
        self.last: tuple | None = None
        self.documents: set[str] = set()

    def accepts(self, block: pa.Table) -> bool:
        """Whether `block` may follow; it counts as written then."""
        if not self.keys or not block.num_rows:
            return True
        first, last = (tuple(block.column(key)[row].as_py() for key in self.keys) for row in (0, -1))
        by_document = self.keys[0] == "doc_id"
        documents = set(pc.unique(block.column("doc_id")).to_pylist()) if by_document else set()
        goes_on = by_document and self.last is not None and self.last[0] == first[0]
        known = self.documents & (documents - {first[0]} if goes_on else documents)
        follows = self.last is None or (by_document and not goes_on) or first > self.last
        self.last, self.documents = last, self.documents | documents
        return follows and not known


def write_shard(contract: Contract, blocks: pa.Table | Iterable[pa.Table], path: Path) -> int:
    """Validate and write one shard atomically, then read it back with checksums on. Returns its number of
    rows.

    `blocks` is the shard's table, or its rows in consecutive tables with the same facts, which are written as
    they come, so that a large shard never stands in memory whole.

    Raises:
        Failure: if a block breaks the contract or does not follow the one before it; `path` is not touched
            then.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        rows = _write_blocks(
            contract, iter([blocks] if isinstance(blocks, pa.Table) else blocks), temporary, str(path)
        )
        for _ in _row_groups(contract, temporary, 0, rows):
            pass
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return rows


def _facts(table: pa.Table) -> dict[bytes, bytes]:
    return {key: value for key, value in (table.schema.metadata or {}).items() if key.startswith(b"rpt.")}


def _write_blocks(contract: Contract, blocks: Iterator[pa.Table], path: Path, where: str) -> int:
    first = next(blocks)
    facts = _facts(first)
    schema = contract.schema.with_metadata(
        {b"rpt.contract": contract.name.encode(), b"rpt.version": str(contract.version).encode(), **facts}
    )
    order, rows = _BlockOrder(contract.sort_key), 0
    with (
        open(path, "wb") as file,
        pq.ParquetWriter(
            file,
            schema,
            compression="zstd",
            write_page_checksum=True,
            write_page_index=True,
            store_schema=True,
        ) as writer,
    ):
        for block in itertools.chain([first], blocks):
            contract.validate(block, where)
            if _facts(block) != facts:
                raise contract.violated(where, f"a block states other facts than {facts}")
            if not order.accepts(block):
                raise contract.violated(
                    where, f"a block does not follow the one before it by {contract.sort_key}"
                )
            group = max(
                1, min(MAX_GROUP_ROWS, MAX_GROUP_BYTES * max(block.num_rows, 1) // max(block.nbytes, 1))
            )
            writer.write_table(block.cast(schema), row_group_size=group)
            rows += block.num_rows
        writer.close()
        file.flush()
        os.fsync(file.fileno())
    return rows


def _identify(contract: Contract, metadata: Mapping[bytes, bytes] | None, path: Path) -> None:
    known = metadata or {}
    found = known.get(b"rpt.contract", b"?").decode(), known.get(b"rpt.version", b"?").decode()
    if found != (contract.name, str(contract.version)):
        raise contract.violated(str(path), f"it says it is `{found[0]}` v{found[1]}")


def _row_groups(
    contract: Contract,
    path: Path,
    begin: int,
    end: int,
    columns: list[str] | None = None,
    documents: list[str] | None = None,
) -> Iterator[pa.Table]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True, memory_map=False) as file:
            _identify(contract, file.schema_arrow.metadata, path)
            first = 0
            for group in range(file.num_row_groups):
                last = first + file.metadata.row_group(group).num_rows
                if (
                    first < end
                    and last > begin
                    and (documents is None or _may_hold(file.metadata.row_group(group), documents))
                ):
                    rows = file.read_row_group(group, columns)
                    yield rows.slice(max(begin - first, 0), min(end, last) - max(begin, first))
                first = last
    except (OSError, pa.ArrowException) as error:
        raise contract.violated(str(path), f"unreadable: {error}") from error


def _may_hold(group: pq.RowGroupMetaData, documents: list[str]) -> bool:
    """Whether the range of doc_id, the first column, takes in one of `documents`, which are sorted."""
    ids = group.column(0).statistics
    at = bisect.bisect_left(documents, ids.min)
    return at < len(documents) and documents[at] <= ids.max


def read_rows(contract: Contract, path: Path, begin: int, end: int) -> Iterator[pa.Table]:
    """Rows `begin` to `end` (exclusive) of a shard that is not committed yet, by row group and with page
    checksums verified.

    Raises:
        Failure: (exit code 3) if the file cannot be read or is of another contract.
    """
    yield from _row_groups(contract, path, begin, end)


def read_documents(contract: Contract, path: Path, doc_ids: Iterable[str]) -> Iterator[pa.Table]:
    """The row groups that may hold rows of `doc_ids`: of a shard whose rows are sorted by doc_id, few others;
    raises like `read_rows`.
    """
    yield from _row_groups(contract, path, 0, 2**62, documents=sorted(doc_ids))


def read_columns(contract: Contract, path: Path, columns: list[str]) -> pa.Table:
    """Some columns of a shard, without reading the others; raises like `read_rows`."""
    kept = pa.schema([contract.schema.field(name) for name in columns])
    return pa.concat_tables([kept.empty_table(), *_row_groups(contract, path, 0, 2**62, columns)])


def _parse(contract: Contract, path: Path) -> pa.Table:
    try:
        table = pq.read_table(path, page_checksum_verification=True, partitioning=None, memory_map=False)
    except (OSError, pa.ArrowException) as error:
        raise contract.violated(str(path), f"unreadable: {error}") from error
    _identify(contract, table.schema.metadata, path)
    return table


@dataclass(frozen=True)
class Artifact:
    """A committed artifact directory: shard names in order with rows, bytes and SHA-256 of each."""

    directory: Path
    contract: Contract
    shards: dict[str, dict]
    digest: str

    @property
    def rows(self) -> int:
        """Rows in all shards."""
        return sum(shard["rows"] for shard in self.shards.values())

    def read(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """One verified shard, or some columns of it.

        Raises:
            Failure: (exit code 3) if the manifest or the directory lacks the file, its digest differs or a
                row breaks the contract.
        """
        path = self.directory / name
        if name not in self.shards:
            raise self.contract.violated(str(path), "the manifest does not name this shard")
        try:
            found, promised = sha256(path), self.shards[name]["sha256"]
        except OSError as error:
            raise self.contract.violated(
                str(path), f"the manifest names this shard, but the file cannot be read: {error.strerror}"
            ) from error
        if found != promised:
            raise self.contract.violated(
                str(path), f"its SHA-256 is {found[:12]}..., the manifest says {promised[:12]}..."
            )
        table = _parse(self.contract, path)
        self.contract.validate(table, str(path))
        return table.select(columns) if columns else table

    def fact(self, name: str) -> Any:
        """A schema fact, which all shards share."""
        metadata = pq.read_schema(self.directory / next(iter(self.shards))).metadata
        return json.loads(metadata[f"rpt.{name}".encode()])

    def read_all(self, columns: list[str] | None = None) -> pa.Table:
        """All shards as one table; for artifacts known to be small."""
        return pa.concat_tables([self.read(name, columns) for name in self.shards])


def _manifest(contract: Contract, shards: dict[str, dict]) -> bytes:
    """The bytes of a manifest; it holds the SHA-256 of what it says, so that a changed figure in it is found
    without the shards.
    """
    said = {"contract": contract.name, "version": contract.version, "shards": shards}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    return (json.dumps({**said, "sha256": digest}, indent=1, sort_keys=True) + "\n").encode()


def commit(contract: Contract, directory: Path) -> None:
    """Write `manifest.json` over the shards in `directory`; only now is the artifact readable."""
    shards = {
        path.name: {
            "rows": pq.read_metadata(path).num_rows,
            "bytes": path.stat().st_size,
            "sha256": sha256(path),
        }
        for path in sorted(directory.glob("part-*.parquet"))
    }
    write_atomically(directory / "manifest.json", _manifest(contract, shards))


def open_artifact(contract: Contract, directory: Path) -> Artifact:
    """The committed artifact in `directory`.

    Raises:
        Failure: (exit code 3) if there is no such directory or no manifest, it is of another contract or
            version or not as `commit` wrote it, or if there are shards that it does not name.
    """
    if not directory.exists():
        cause = "no run has made it, or one that failed has removed it"
        remedy = "`./rpt status` says which stage makes it; run that"
        raise Failure(f"there is no {directory}", cause, remedy, Exit.CONTRACT)
    path = directory / "manifest.json"
    try:
        raw = path.read_bytes()
        manifest = json.loads(raw)
        found = manifest["contract"], manifest["version"]
        shards = dict(manifest["shards"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise contract.violated(str(path), f"no readable manifest: {error}") from error
    if found != (contract.name, contract.version):
        raise contract.violated(str(path), f"it says it is `{found[0]}` v{found[1]}")
    if raw != _manifest(contract, shards):
        raise contract.violated(str(path), "its own SHA-256 does not fit what it says")
    stray = {item.name for item in directory.glob("part-*.parquet")} - set(shards)
    if stray:
        raise contract.violated(str(directory), f"shards that the manifest does not name: {sorted(stray)}")
    return Artifact(directory, contract, shards, hashlib.sha256(raw).hexdigest())
