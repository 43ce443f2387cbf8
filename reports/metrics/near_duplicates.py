"""Which texts have a near duplicate in a database: MinHash of their token 5-grams, put into bands (LSH), then
compared exactly.

With 32 hashes in 8 bands of 4, of texts that share four fifths of their grams 98 % fall into a common band (1
- (1 - 0.8^4)^8), of those that share a half 40 %. What falls into one is compared gram by gram, so that
nothing is called a duplicate that is none; a few are missed.
"""

from __future__ import annotations

import numpy as np
import polars as pl

GRAM, HASHES, BANDS = 5, 32, 8
SIMILAR = 0.8  # Jaccard similarity of the sets of grams
# of the texts in a common band at most so many are compared with a text, the first of the database
COMPARED = 50
BLOCK = 16_384


def near_duplicates(texts_XM: np.ndarray, database_NM: np.ndarray) -> np.ndarray:
    """[X] whether some text of the database has a Jaccard similarity of `SIMILAR` or more; rows are token
    ids, of one length.
    """
    distinct_NM = np.unique(database_NM, axis=0) if len(database_NM) else database_NM
    known, asked = (_bands(_signatures(rows)) for rows in (distinct_NM, texts_XM))
    pairs = (
        asked.join(known, on=["band", "value"], suffix="_known")
        .select("row", "row_known")
        .unique()
        .sort("row", "row_known")
    )
    pairs = pairs.group_by("row", maintain_order=True).head(COMPARED)
    found = np.zeros(len(texts_XM), bool)
    for row, other in pairs.iter_rows():
        found[row] = found[row] or _jaccard(texts_XM[row], distinct_NM[other]) >= SIMILAR
    return found


def _grams(rows_XM: np.ndarray) -> np.ndarray:
    """[X, G] a 64-bit number for each gram, the same for the same tokens."""
    mixed = np.zeros((len(rows_XM), rows_XM.shape[1] - GRAM + 1), np.uint64)
    for place in range(GRAM):
        mixed = (mixed ^ rows_XM[:, place : place + mixed.shape[1]].astype(np.uint64)) * np.uint64(
            0x9E3779B97F4A7C15
        )
        mixed ^= mixed >> np.uint64(29)
    return mixed


def _signatures(rows_XM: np.ndarray) -> np.ndarray:
    """[X, H] the least of each hash over a text's grams."""
    rng = np.random.default_rng(5)
    factors, offsets = (rng.integers(2**63, size=HASHES, dtype=np.uint64) for _ in range(2))
    parts = [np.empty((0, HASHES), np.uint64)]
    for first in range(0, len(rows_XM), BLOCK):
        grams = _grams(rows_XM[first : first + BLOCK])
        hashed = (
            grams * (factor | np.uint64(1)) + offset for factor, offset in zip(factors, offsets, strict=True)
        )
        parts.append(
            np.stack(
                [
                    ((values ^ (values >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)).min(axis=1)
                    for values in hashed
                ],
                axis=1,
            )
        )
    return np.concatenate(parts)


def _bands(signatures_XH: np.ndarray) -> pl.DataFrame:
    """row, band, value: one number for the hashes of each band of each text."""
    values_XB = np.zeros((len(signatures_XH), BANDS), np.uint64)
    for part in np.split(signatures_XH, HASHES // BANDS, axis=1):
        values_XB = (values_XB ^ part) * np.uint64(0x9E3779B97F4A7C15)
        values_XB ^= values_XB >> np.uint64(31)
    rows, bands = np.indices(values_XB.shape, np.int32)
    return pl.DataFrame({"row": rows.ravel(), "band": bands.ravel(), "value": values_XB.ravel()})


def _jaccard(one_M: np.ndarray, other_M: np.ndarray) -> float:
    one, other = (set(_grams(row[None])[0].tolist()) for row in (one_M, other_M))
    return len(one & other) / len(one | other)
