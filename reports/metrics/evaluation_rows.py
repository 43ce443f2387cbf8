"""Evaluations of a corpus side by side: row r of every system in every setting is the same chunk, or nothing
is compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from data_contracts.evaluations import OWN
from data_contracts.failure import Exit, Failure
from reports.metrics.resampling import BLOCK_CHUNKS

Key = tuple[str, str]
"""The name of a run, and a setting."""
LISTS = ("token_losses", "retrieved", "ranking", "scores", "gates")
CONTROL = "random"
READS_CORPUS = ("retro_corpus", "retro_fit")


def control_of(system: str) -> str:
    """The system with random neighbours that a system is to be compared with: that which reads the same
    database.
    """
    base = system.removesuffix(f"_{CONTROL}")
    return f"{base}_{CONTROL}" if base in READS_CORPUS else CONTROL


@dataclass(frozen=True)
class Evaluations:
    """`chunks` names the rows R (doc_id, chunk, tokens, bytes, eligible), `frames` has the columns of each
    key in this order.

    `systems` says which system a run is of, `seeds` with which seed it was trained. Blocks B are 64 chunks of
    a document.
    """

    systems: dict[str, str]
    seeds: dict[str, int]
    chunks: pl.DataFrame
    frames: dict[Key, pl.DataFrame]
    block_begin_B: np.ndarray
    document_B: np.ndarray

    def settings(self, run: str) -> list[str]:
        """The settings a run was evaluated in."""
        return [setting for name, setting in self.frames if name == run]

    def loss(self, key: Key) -> np.ndarray:
        """[R] nats, summed over the counted tokens of a chunk."""
        return self.frames[key]["loss"].to_numpy().astype(np.float64)

    def by_block(self, *columns_R: np.ndarray) -> np.ndarray:
        """[B, columns] sums over the rows of each block."""
        return np.add.reduceat(np.stack(columns_R, axis=1).astype(np.float64), self.block_begin_B, axis=0)

    def block_of_rows(self) -> np.ndarray:
        """[R] the block of each row."""
        return np.repeat(
            np.arange(len(self.block_begin_B)), np.diff(self.block_begin_B, append=len(self.chunks))
        )

    def among(self, queries: pl.DataFrame) -> np.ndarray:
        """[R] whether a chunk is one of `queries` (doc_id, chunk)."""
        known = queries.select("doc_id", "chunk", pl.lit(True).alias("known"))
        rows = self.chunks.select("doc_id", "chunk").join(
            known, on=["doc_id", "chunk"], how="left", maintain_order="left"
        )
        return rows["known"].fill_null(False).to_numpy()

    def counterpart(self, run: str, system: str) -> str | None:
        """The run of `system` that `run` is to be compared with: that of its own seed, else the first, if
        there is one.
        """
        runs = [other for other, name in self.systems.items() if name == system]
        return next((other for other in runs if self.seeds[other] == self.seeds[run]), next(iter(runs), None))

    def readers(self) -> list[str]:
        """The runs that read neighbours."""
        return [run for run in self.systems if (self.frames[run, OWN]["retrieved"].list.len() > 0).any()]


def token_digest(rows: pl.DataFrame) -> str:
    """SHA-256 of which tokens were counted: the chunks in order, with the tokens and bytes of each."""
    digest = hashlib.sha256("\n".join(rows["doc_id"].to_list()).encode())
    for name in ("chunk", "tokens", "bytes"):
        digest.update(rows[name].to_numpy().astype("<i4").tobytes())
    return digest.hexdigest()


def frames_of(tables: Iterable[tuple[str, pa.Table]]) -> dict[Key, pl.DataFrame]:
    """The rows of each run and setting, sorted by document and chunk; a token's loss in every setting would
    be most of the memory, so lists are kept for `own` alone."""
    frames: dict[Key, pl.DataFrame] = {}
    for run, table in tables:
        rows = pl.DataFrame(pl.from_arrow(table)).sort("doc_id", "chunk")
        for setting in rows["setting"].unique(maintain_order=True):
            columns = pl.all() if setting == OWN else pl.exclude(LISTS)
            frames[run, setting] = rows.filter(pl.col("setting") == setting).select(columns)
    return frames


def aligned(frames: dict[Key, pl.DataFrame], systems: dict[str, str], seeds: dict[str, int]) -> Evaluations:
    """The frames side by side; `systems` says which system a run is of, `seeds` its seed.

    Raises:
        Failure: (exit code 3) unless every run has its own setting, and all of them are of the identical
            tokens.
    """
    if missing := [run for run in systems if (run, OWN) not in frames]:
        raise Failure(
            "a system was not evaluated",
            f"{', '.join(missing)} without setting {OWN!r}",
            "re-run its evaluation",
            Exit.CONTRACT,
        )
    digests = {key: token_digest(rows) for key, rows in frames.items()}
    if len(set(digests.values())) > 1:
        found = "; ".join(
            f"{run} {setting}: {digest[:12]}, {len(frames[run, setting])} chunks"
            for (run, setting), digest in digests.items()
        )
        raise Failure(
            "the systems were not evaluated on the same tokens",
            f"SHA-256 {found}",
            "re-run the evaluations",
            Exit.CONTRACT,
        )
    chunks = next(rows for (_, setting), rows in frames.items() if setting == OWN).select(
        "doc_id", "chunk", "tokens", "bytes", "eligible"
    )
    document_R = chunks["doc_id"].rle_id().to_numpy().astype(np.int64)
    block = document_R * (1 << 32) + np.maximum(chunks["chunk"].to_numpy(), 0) // BLOCK_CHUNKS
    begin_B = np.flatnonzero(np.diff(block, prepend=-1))
    return Evaluations(systems, seeds, chunks, frames, begin_B, document_R[begin_B])


def with_own(
    frames: dict[Key, pl.DataFrame], systems: dict[str, str], seeds: dict[str, int], settings: Collection[str]
) -> Evaluations | None:
    """The frames of some settings, which may be of some documents only, beside `own` of every run on the same
    documents; None if there are none. Raises like `aligned`."""
    asked = {key: rows for key, rows in frames.items() if key[1] in settings}
    if not asked:
        return None
    documents = next(iter(asked.values())).select("doc_id").unique()
    own = {
        key: rows.select(pl.exclude(LISTS)).join(documents, on="doc_id", how="semi", maintain_order="left")
        for key, rows in frames.items()
        if key[1] == OWN
    }
    return aligned(own | asked, systems, seeds)
