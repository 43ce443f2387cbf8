"""How much of what a corpus brings is copied from it: losses by how much of a chunk stands in the passages
word for word.

RETRO (arXiv 2112.04426, section 2.6) takes, for every evaluated chunk, the longest run of tokens that it has
in common with any of its ten nearest passages, and counts only chunks whose run is at most a share alpha of
the chunk. Here the passages that were found for the chunk before, which are what is read for its prediction,
count too: the larger of the two is the overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

from data_contracts.passages import NEAREST
from reports.metrics.evaluation_rows import Evaluations, Key
from reports.metrics.perplexity import loss_of, resampled
from reports.metrics.resampling import Estimate, Named

ALPHAS = (1 / 8, 1 / 4, 1 / 2, 3 / 4, 1.0)


@dataclass(frozen=True)
class Leakage:
    """The chunks of a `Bin`: how many, bits a byte by system and setting, the first of which is the one in
    question, and its `gains` over the others in nats a token."""

    kind: str
    least: int
    most: int | None
    chunks: int
    bits_per_byte: Mapping[str, float | None]
    gains: Mapping[str, Estimate]


def overlaps(neighbours: pa.Table) -> pl.DataFrame:
    """doc_id, chunk (the query: the target is the one after it), and the overlap of its target; from rows of
    corpus_neighbours.
    """
    columns = neighbours.select(["doc_id", "query_chunk", "origin", "query_overlap", "target_overlap"])
    rows = pl.DataFrame(pl.from_arrow(columns)).filter(pl.col("origin") == NEAREST)
    chunk = pl.col("query_chunk")
    read = rows.group_by("doc_id", chunk=chunk).agg(pl.col("target_overlap").max())
    own = rows.group_by("doc_id", chunk=chunk - 1).agg(pl.col("query_overlap").max())
    both = read.join(own, on=["doc_id", "chunk"], how="left").with_columns(
        pl.col("query_overlap").fill_null(0)
    )
    return both.select("doc_id", "chunk", overlap=pl.max_horizontal("target_overlap", "query_overlap")).sort(
        "doc_id", "chunk"
    )


def leakage(
    evaluations: Evaluations,
    overlap: pl.DataFrame,
    chunk_tokens: int,
    key: Key,
    baselines: list[Key],
    samples: int,
    seed: int = 0,
) -> list[Leakage]:
    """A row for each alpha: first the chunks whose overlap is at most alpha of a chunk, then those between it
    and the alpha before; at the end, where near duplicates in the database were sought, those with one, and
    those without: of chunks that were looked at. `overlap` has doc_id, chunk, overlap and perhaps duplicate,
    of the target; duplicate is null where it was not looked at, as a chunk that is not whole.

    A row has its chunks, bits a byte of `key` and of each of `baselines`, and `gains` over them in nats a
    token with paired intervals. Chunks without a query, the first of each document, are left out.
    """
    here = evaluations.chunks.select("doc_id", "chunk").join(
        overlap, on=["doc_id", "chunk"], how="left", maintain_order="left"
    )
    known = "duplicate" in here.columns
    overlap_R = here["overlap"].fill_null(-1).to_numpy()
    duplicate_R = (
        here["duplicate"].cast(pl.Int8).fill_null(-1).to_numpy() if known else np.full(len(here), -1)
    )
    bins = [*_bins(chunk_tokens), *(_DUPLICATES if known else ())]
    chosen = [one.chosen(overlap_R, duplicate_R) for one in bins]
    columns = {name: evaluations.chunks[name].to_numpy() for name in ("tokens", "bytes")} | {
        "chunks": np.ones(len(overlap_R))
    }
    columns |= {loss_of(one): evaluations.loss(one) for one in (key, *baselines)}
    by_block = {
        name: evaluations.by_block(*(values * mask for mask in chosen)) for name, values in columns.items()
    }
    sums = resampled(evaluations, by_block, samples, seed)

    def bits(at: Named, one: Key, place: int) -> np.ndarray:
        return at(loss_of(one))[..., place] / at("bytes")[..., place] / np.log(2)

    def gain(at: Named, one: Key, place: int) -> np.ndarray:
        return (at(loss_of(one)) - at(loss_of(key)))[..., place] / at("tokens")[..., place]

    rows = []
    for place, one_bin in enumerate(bins):
        counted = int(sums.total("chunks")[place])
        bits_per_byte = {
            said(one): sums.combined(partial(bits, one=one, place=place)).value for one in (key, *baselines)
        }
        gains = {said(one): sums.combined(partial(gain, one=one, place=place)) for one in baselines}
        rows.append(Leakage(one_bin.kind, one_bin.least, one_bin.most, counted, bits_per_byte, gains))
    return rows


def over_runs(evaluations: Evaluations) -> Evaluations:
    """The same of systems: losses are the means over the runs of a system, whose name takes the place of
    theirs.
    """
    keys: dict[Key, list[Key]] = {}
    for run, setting in evaluations.frames:
        keys.setdefault((evaluations.systems[run], setting), []).append((run, setting))
    frames = {
        key: evaluations.frames[of[0]].with_columns(
            loss=pl.Series(np.mean([evaluations.loss(one) for one in of], axis=0))
        )
        for key, of in keys.items()
    }
    systems = list(dict.fromkeys(evaluations.systems.values()))
    return replace(
        evaluations,
        systems={system: system for system in systems},
        seeds=dict.fromkeys(systems, 0),
        frames=frames,
    )


class Bin(NamedTuple):
    """Which chunks a row counts: those of a kind (`at_most`, `between`, `near_duplicate` or
    `no_near_duplicate`) from and to so many tokens of overlap, any if there is no limit."""

    kind: str
    least: int
    most: int | None

    def chosen(self, overlap_R: np.ndarray, duplicate_R: np.ndarray) -> np.ndarray:
        """[R] whether a chunk is counted; `duplicate_R` is 1 with a near duplicate, 0 without, -1 where it
        was not looked at.
        """
        inside = (overlap_R >= self.least) & (self.most is None or overlap_R <= self.most)
        kinds = {"near_duplicate": duplicate_R == 1, "no_near_duplicate": duplicate_R == 0}
        return inside & kinds.get(self.kind, inside)


_DUPLICATES = Bin("near_duplicate", 0, None), Bin("no_near_duplicate", 0, None)


def _bins(chunk_tokens: int) -> list[Bin]:
    ends = [int(alpha * chunk_tokens) for alpha in ALPHAS]
    between = [Bin("between", low + 1, high) for low, high in zip([-1, *ends[:-1]], ends, strict=True)]
    return [*(Bin("at_most", 0, end) for end in ends), *between]


def said(key: Key) -> str:
    """How a row of leakage names a run, or a system, in a setting."""
    return f"{key[0]} {key[1]}"
