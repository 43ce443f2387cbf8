"""Which candidates copy their target: the share of the target's token 8-grams that stand in the candidate
pair (c_j, c_j+1).

A text that repeats itself (licences, tables of contents, generated code) makes such pairs, and they score
high for a reason that has nothing to do with meaning. An identical chunk has every 8-gram of the target, so
it needs no rule of its own.

Grams are compared by 64-bit hashes, eight multiplications a token. Nearly all grams of a text occur once and
are dropped at once, so that the cost is sorting them: 1.5 s for a shard of four million tokens and 1.3
million pairs, and up to 25 s where all of it repeats itself.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa

from data_contracts import counting

GRAM = 8
NEAR = 0.5  # containment from which a candidate counts as a copy
ROWS = 20_000  # rows compared at once, which bounds memory where everything repeats

_rng = np.random.default_rng(8)
_FACTORS = _rng.integers(2**63, size=GRAM, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_DOCUMENT = np.uint64(0x9E3779B97F4A7C15)


def _mixed(values: np.ndarray) -> np.ndarray:
    """Neighbouring numbers as unlike 64-bit numbers (the finaliser of splitmix64)."""
    values = values.astype(np.uint64) + _DOCUMENT
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _grams(
    chunks: pa.ListArray | pa.LargeListArray, document_N: np.ndarray, used_N: np.ndarray
) -> pl.DataFrame:
    """Every gram that begins in a used chunk: the chunk, the hash with its document in it, and whether it
    ends in the same chunk.
    """
    tokens, offsets = chunks.values.to_numpy(), chunks.offsets.to_numpy()
    tokens, offsets = tokens[offsets[0] : offsets[-1]], offsets - offsets[0]
    lengths = np.diff(offsets)
    size = min(GRAM, int(lengths.max(initial=1)))
    chunk_T = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    begins = np.arange(max(len(tokens) - size + 1, 0))
    first, last = chunk_T[begins], chunk_T[begins + size - 1]
    begins = begins[used_N[first] & (document_N[first] == document_N[last])]
    first, last = chunk_T[begins], chunk_T[begins + size - 1]
    mixed, hashes = _mixed(tokens), _mixed(document_N)[first]
    for place in range(size):
        hashes += mixed[begins + place] * _FACTORS[place]
    return pl.DataFrame({"chunk": first, "gram": hashes, "whole": first == last})


def _within(chunk: pl.Series, rows: np.ndarray) -> pl.Series:
    """Whether each chunk is one of `rows`."""
    return chunk.is_in(pl.Series(np.unique(rows), dtype=chunk.dtype).implode())


def containment(
    chunks: pa.ListArray | pa.LargeListArray,
    document_N: np.ndarray,
    target_R: np.ndarray,
    candidate_R: np.ndarray,
) -> np.ndarray:
    """The share of distinct 8-grams of each target that its candidate has; 0 where it is below `NEAR`.

    Args:
        chunks: token ids, a chunk a row; chunks of a document follow each other.
        document_N: the document of each chunk, as a number. target_R, candidate_R: rows of `chunks`; the
        candidate is the pair that begins there and ends before the target.

    Returns:
        float32 [R]. Chunks shorter than 8 tokens are compared as wholes.
    """
    used = np.zeros(len(chunks) + 1, bool)
    for rows in (target_R, candidate_R, candidate_R + 1):
        used[rows] = True
    grams = _grams(chunks, document_N, used)
    of_target, again = grams["whole"] & _within(grams["chunk"], target_R), grams["gram"].is_duplicated()
    once = grams.filter(of_target & ~again).group_by(target="chunk").agg(once=counting.rows())
    repeated = grams.filter(of_target & again).select("gram", target="chunk").unique()
    sizes = (
        repeated.group_by("target")
        .agg(again=counting.rows())
        .join(once, on="target", how="left")
        .with_columns(pl.col("once").fill_null(0))
    )
    possible = sizes.filter(pl.col("again") >= NEAR * (pl.col("again") + pl.col("once")))
    begun = grams.filter(again).select("gram", "whole", candidate="chunk")
    # a gram of c_j+1 is one of the pair that begins at c_j
    ended = begun.filter("whole").with_columns(pl.col("candidate") - 1)
    pairs = pl.concat(
        [
            part.filter(_within(part["candidate"], candidate_R)).select("gram", "candidate")
            for part in (begun, ended)
        ]
    ).unique()
    wanted = pl.DataFrame(
        {
            "row": np.arange(len(target_R)),
            "target": target_R.astype(np.int32),
            "candidate": candidate_R.astype(np.int32),
        }
    )
    found = np.zeros(len(target_R), np.float32)
    for part in wanted.join(possible, on="target").iter_slices(ROWS):
        shared = part.join(repeated, on="target").join(pairs, on=["candidate", "gram"], how="semi")
        shares = shared.group_by("row").agg(
            share=counting.rows() / (pl.col("again") + pl.col("once")).first()
        )
        found[shares["row"].to_numpy()] = shares["share"].to_numpy()
    return np.where(found >= NEAR, found, np.float32(0.0))
