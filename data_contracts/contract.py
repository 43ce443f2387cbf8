"""Contracts: the only reader and writer of Parquet. Tables are checked when written and when read.

A shard is one Parquet file of whole documents with page checksums; readers verify its SHA-256 against the manifest before
any Parquet library parses it, because a flipped bit in an unverified file mostly reads back as a wrong value, not as an error.
Equal rows give equal bytes: nothing here depends on a clock, a host or a worker count.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data_contracts.failure import Exit, Failure

MAX_GROUP_ROWS = 20_000
MAX_GROUP_BYTES = 32 * 2**20


def field(name: str, kind: pa.DataType, description: str, unit: str = "", nullable: bool = False) -> pa.Field:
    """A column with its description and unit, both stored in the Parquet file."""
    return pa.field(name, kind, nullable=nullable, metadata={"description": description, "unit": unit})


@dataclass(frozen=True)
class Contract:
    """What one artifact promises: `check` yields a sentence for every broken row invariant; `facts` are required schema metadata keys."""

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
            f"{where} does not keep contract `{self.name}` v{self.version}", reason, "re-run the stage that writes it", Exit.CONTRACT
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
    """Rows strictly increase by `keys`, where equal doc_ids need only stand together (documents keep the corpus order)."""
    increasing, equal_so_far = np.zeros(table.num_rows - 1, bool), np.ones(table.num_rows - 1, bool)
    for key in keys:
        column = table.column(key).combine_chunks()
        order = column.dictionary_encode().indices if key == "doc_id" else pc.rank(column, tiebreaker="dense")
        step = np.diff(order.to_numpy(zero_copy_only=False).astype(np.int64))
        increasing |= equal_so_far & (step > 0)
        equal_so_far &= step == 0
    return bool(increasing.all())


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` so that `path` either has all of it or is untouched."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_shard(contract: Contract, table: pa.Table, path: Path) -> None:
    """Validate `table` and write it to `path` atomically, then read it back with checksums on.

    Raises:
        Failure: if the table breaks the contract (nothing is written then).
    """
    contract.validate(table, str(path))
    facts = {key: value for key, value in (table.schema.metadata or {}).items() if key.startswith(b"rpt.")}
    metadata = {b"rpt.contract": contract.name.encode(), b"rpt.version": str(contract.version).encode(), **facts}
    table = table.cast(contract.schema.with_metadata(metadata))
    rows = max(1, min(MAX_GROUP_ROWS, MAX_GROUP_BYTES * max(table.num_rows, 1) // max(table.nbytes, 1)))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=rows, compression="zstd", write_page_checksum=True, write_page_index=True, store_schema=True)
    write_atomically(path, sink.getvalue().to_pybytes())
    _parse(contract, path)


def _parse(contract: Contract, path: Path) -> pa.Table:
    try:
        table = pq.read_table(path, page_checksum_verification=True, partitioning=None, memory_map=False)
    except (OSError, pa.ArrowException) as error:
        raise contract.violated(str(path), f"unreadable: {error}") from error
    metadata = table.schema.metadata or {}
    found = metadata.get(b"rpt.contract", b"?").decode(), metadata.get(b"rpt.version", b"?").decode()
    if found != (contract.name, str(contract.version)):
        raise contract.violated(str(path), f"it says it is `{found[0]}` v{found[1]}")
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
            Failure: (exit code 3) if the file is missing, its digest differs or a row breaks the contract.
        """
        path = self.directory / name
        if not path.exists():
            raise self.contract.violated(str(path), "the manifest names this shard, but the file is missing")
        if (found := sha256(path)) != self.shards[name]["sha256"]:
            raise self.contract.violated(
                str(path), f"its SHA-256 is {found[:12]}..., the manifest says {self.shards[name]['sha256'][:12]}..."
            )
        table = _parse(self.contract, path)
        self.contract.validate(table, str(path))
        return table.select(columns) if columns else table

    def read_all(self, columns: list[str] | None = None) -> pa.Table:
        """All shards as one table; for artifacts known to be small."""
        return pa.concat_tables([self.read(name, columns) for name in self.shards])


def commit(contract: Contract, directory: Path) -> None:
    """Write `manifest.json` over the shards in `directory`; only now is the artifact readable."""
    shards = {
        path.name: {"rows": pq.read_metadata(path).num_rows, "bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(directory.glob("part-*.parquet"))
    }
    manifest = {"contract": contract.name, "version": contract.version, "shards": shards}
    write_atomically(directory / "manifest.json", (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode())


def open_artifact(contract: Contract, directory: Path) -> Artifact:
    """The committed artifact in `directory`.

    Raises:
        Failure: (exit code 3) if there is no manifest, it is not JSON, or it is of another contract or version.
    """
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
    stray = {item.name for item in directory.glob("part-*.parquet")} - set(shards)
    if stray:
        raise contract.violated(str(directory), f"shards that the manifest does not name: {sorted(stray)}")
    return Artifact(directory, contract, shards, hashlib.sha256(raw).hexdigest())
