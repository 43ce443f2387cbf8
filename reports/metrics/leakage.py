"""How much of what a corpus brings is copied from it: losses by how much of a chunk stands in the passages word for word.

RETRO (arXiv 2112.04426, section 2.6) takes, for every evaluated chunk, the longest run of tokens that it has in common with any of its ten
nearest passages, and counts only chunks whose run is at most a share alpha of the chunk. Here the passages that were found for the chunk
before, which are what is read for its prediction, count too: the larger of the two is the overlap.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from data_contracts.passages import NEAREST
from reports.metrics.evaluation_rows import Evaluations, Key
from reports.metrics.perplexity import loss_of, resampled
from reports.metrics.resampling import Named

ALPHAS = (1 / 8, 1 / 4, 1 / 2, 3 / 4, 1.0)


def overlaps(neighbours: pa.Table) -> pl.DataFrame:
    """doc_id, chunk (the query: the target is the one after it), and the overlap of its target; from rows of corpus_neighbours."""
    columns = neighbours.select(["doc_id", "query_chunk", "origin", "query_overlap", "target_overlap"])
    rows = pl.DataFrame(pl.from_arrow(columns)).filter(pl.col("origin") == NEAREST)
    chunk = pl.col("query_chunk")
    read = rows.group_by("doc_id", chunk=chunk).agg(pl.col("target_overlap").max())
    own = rows.group_by("doc_id", chunk=chunk - 1).agg(pl.col("query_overlap").max())
    both = read.join(own, on=["doc_id", "chunk"], how="left").with_columns(pl.col("query_overlap").fill_null(0))
    return both.select("doc_id", "chunk", overlap=pl.max_horizontal("target_overlap", "query_overlap")).sort("doc_id", "chunk")


def leakage(
    evaluations: Evaluations, overlap: pl.DataFrame, chunk_tokens: int, key: Key, baselines: list[Key], samples: int, seed: int = 0
) -> list[dict[str, Any]]:
    """A row for each alpha: first the chunks whose overlap is at most alpha of a chunk, then those between it and the alpha before.

    A row has its chunks, bits a byte of `key` and of each of `baselines`, and `gains` over them in nats a token with paired intervals.
    Chunks without a query, the first of each document, are left out.
    """
    here = evaluations.chunks.select("doc_id", "chunk").join(overlap, on=["doc_id", "chunk"], how="left", maintain_order="left")
    overlap_R = here["overlap"].fill_null(-1).to_numpy()
    bins = {name: (overlap_R >= low) & (overlap_R <= high) for name, (low, high) in _bins(chunk_tokens).items()}
    columns = {name: evaluations.chunks[name].to_numpy() for name in ("tokens", "bytes")} | {"chunks": np.ones(len(overlap_R))}
    columns |= {loss_of(one): evaluations.loss(one) for one in (key, *baselines)}
    by_block = {name: evaluations.by_block(*(values * chosen for chosen in bins.values())) for name, values in columns.items()}
    sums = resampled(evaluations, by_block, samples, seed)

    def bits(at: Named, one: Key, place: int) -> np.ndarray:
        return at(loss_of(one))[..., place] / at("bytes")[..., place] / np.log(2)

    def gain(at: Named, one: Key, place: int) -> np.ndarray:
        return (at(loss_of(one)) - at(loss_of(key)))[..., place] / at("tokens")[..., place]

    rows = []
    for place, (name, (low, high)) in enumerate(_bins(chunk_tokens).items()):
        known: dict[str, Any] = {"from": low, "to": high, "cumulative": name.startswith("up"), "chunks": int(sums.total("chunks")[place])}
        known["bits_per_byte"] = {_said(one): sums.combined(partial(bits, one=one, place=place)).value for one in (key, *baselines)}
        gains = {_said(one): asdict(sums.combined(partial(gain, one=one, place=place))) for one in baselines}
        rows.append(known | {"gains": gains})
    return rows


def _bins(chunk_tokens: int) -> dict[str, tuple[int, int]]:
    """Name -> fewest and most tokens of overlap."""
    ends = [int(alpha * chunk_tokens) for alpha in ALPHAS]
    up_to = {f"up to {end}": (0, end) for end in ends}
    return up_to | {f"{low + 1} to {high}": (low + 1, high) for low, high in zip([-1, *ends[:-1]], ends, strict=True)}


def _said(key: Key) -> str:
    return f"{key[0]} {key[1]}"


def as_markdown(rows: list[dict[str, Any]], chunk_tokens: int) -> str:
    """Two tables: at most so much overlap, and between two bounds."""
    names = list(rows[0]["bits_per_byte"])
    head = f"| longest common run, of {chunk_tokens} | chunks | " + " | ".join(f"{name}, bits a byte" for name in names)
    head += " | " + " | ".join(f"gain over {name}, nats a token" for name in names[1:]) + " |"
    lines = []
    for cumulative in (True, False):
        lines += [head, "|---" + "|---:" * (2 * len(names)) + "|"]
        for row in (row for row in rows if row["cumulative"] == cumulative):
            bits = [_figure(value) for value in row["bits_per_byte"].values()]
            gains = [f"{_figure(one['value'])} [{_figure(one['low'])}, {_figure(one['high'])}]" for one in row["gains"].values()]
            where = f"at most {row['to']}" if cumulative else f"{row['from']} to {row['to']}"
            lines.append(" | ".join([f"| {where}", f"{row['chunks']:,}", *bits, *gains]) + " |")
        lines.append("")
    return "\n".join(lines).rstrip("\n")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
