"""What the supervision report adds up by block of 64 chunks: every figure is a ratio of such sums, so labels
may be of any size.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from reports.labels.rows import LabelRows
from reports.metrics.resampling import BLOCK_CHUNKS

# edges, in chunks
DISTANCES = np.array(sorted({2**power for power in range(22)} | {3 * 2**power for power in range(20)}))
POSITIONS = 10
BIN, BINS = 0.01, 600  # nats a target token, from -3 to 3; what lies outside counts in the first and the last


@lru_cache(maxsize=2048)
def _best_of_some(count: int, most: int) -> np.ndarray:
    """[count, most] weight of the r-th smallest of `count` scores in the mean best of k random ones of them:
    C(r-1, k-1) / C(count, k).
    """
    k, place = np.minimum(np.arange(1, most + 1), count), np.arange(count, 1, -1)[:, None]
    downwards = np.cumprod(np.maximum(place - k, 0) / (place - 1), axis=0)  # from each place to the one below
    return (k / count * np.concatenate([np.ones((1, most)), downwards]))[::-1]


def query_figures(rows: LabelRows, most: int) -> dict[str, np.ndarray]:
    """Per query, in nats a target token: `best` [Q, most] of the first k candidates, the mean of that over
    all `orders` of them [Q, most], the mean of BM25's `first_two` and of the `best_two` by s_t [Q, 1].
    Whoever has fewer than k candidates counts with all of them.
    """
    begin, count = rows.begin_Q, np.diff(rows.begin_Q, append=len(rows.rank_R))
    scores = np.full((len(begin), most), -np.inf)
    scores[np.repeat(np.arange(len(begin)), count), rows.rank_R] = rows.score_R
    ordered = np.sort(scores, axis=1)
    orders = np.zeros_like(scores)
    for size in np.unique(count):
        some = count == size
        orders[some] = ordered[some, most - size :] @ _best_of_some(int(size), most)

    def two(first: np.ndarray, second: np.ndarray | None) -> np.ndarray:
        return (
            first
            if second is None
            else np.where(count > 1, (first + np.where(count > 1, second, 0.0)) / 2, first)
        )[:, None]

    pair = [scores[:, 0], scores[:, 1]] if most > 1 else [scores[:, 0], None]
    best_pair = [ordered[:, -1], ordered[:, -2]] if most > 1 else [ordered[:, -1], None]
    return {
        "best": np.maximum.accumulate(scores, axis=1),
        "orders": orders,
        "first_two": two(*pair),
        "best_two": two(*best_pair),
    }


def block_sums(rows: LabelRows, most: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The document of each block B, and sums [B, n] by name over the queries and pairs of the block.

    Per query: `queries`, and what `query_figures` gives; `copy_is_best`, whether the best candidate copies
    the target. Per pair: `pairs`, `positives` (s_t > 0), `score`; the same of `copies`; `verbatim`, the
    copies with every 8-gram of the target; pairs and positives by `rank`, by `distance` (bins of `DISTANCES`)
    and by `position` of the query in its document (tenths).
    """
    begin = rows.begin_Q
    key = rows.document_R[begin] * (1 << 40) + rows.query_R[begin] // BLOCK_CHUNKS
    _, first_B, block_Q = np.unique(key, return_index=True, return_inverse=True)
    block_R = np.repeat(block_Q, np.diff(begin, append=len(rows.rank_R)))
    blocks = len(first_B)
    positive, copied = rows.score_R > 0, rows.copied_R > 0

    def of_pairs(weight: np.ndarray, bin_R: np.ndarray | int = 0, bins: int = 1) -> np.ndarray:
        return np.bincount(block_R * bins + bin_R, weight, minlength=blocks * bins).reshape(blocks, bins)

    distance = np.searchsorted(DISTANCES, rows.query_R - rows.candidate_R, side="right") - 1
    position = np.minimum(
        rows.query_R * POSITIONS // rows.documents["chunks"].to_numpy()[rows.document_R], POSITIONS - 1
    )
    figures = query_figures(rows, most)
    best_R = np.repeat(figures["best"][:, -1], np.diff(begin, append=len(rows.rank_R)))
    best_copy_Q = np.maximum.reduceat((copied & (rows.score_R == best_R)).astype(np.float64), begin)
    sums = {
        name: np.add.reduceat(values, first_B, axis=0)
        for name, values in {**figures, "copy_is_best": best_copy_Q[:, None]}.items()
    }
    every = np.ones(len(rows.rank_R))
    sums["queries"] = np.bincount(block_Q, minlength=blocks)[:, None]
    singles = {"pairs": every, "positives": positive, "score": rows.score_R, "verbatim": rows.copied_R == 1.0}
    singles |= {
        "copies": copied,
        "copy_positives": copied & positive,
        "copy_score": np.where(copied, rows.score_R, 0.0),
    }
    sums |= {name: of_pairs(values) for name, values in singles.items()}
    for name, bin_R, bins in (
        ("rank", rows.rank_R, most),
        ("distance", distance, len(DISTANCES)),
        ("position", position, POSITIONS),
    ):
        sums |= {
            f"{name}_pairs": of_pairs(every, bin_R, bins),
            f"{name}_positives": of_pairs(positive, bin_R, bins),
        }
    return rows.document_R[begin][first_B], sums


def histograms(rows: LabelRows, of_document: np.ndarray) -> dict[str, np.ndarray]:
    """How many pairs and how many best scores of queries lie in each bin of `BIN` nats a token, over the
    documents in the mask.
    """
    best = np.maximum.reduceat(rows.score_R, rows.begin_Q)
    scores = {"pairs": (rows.score_R, rows.document_R), "best": (best, rows.document_R[rows.begin_Q])}
    return {name: _counted(values[of_document[document]]) for name, (values, document) in scores.items()}


def _counted(values: np.ndarray) -> np.ndarray:
    # A score of 0 helps no one: bins are open below and closed above, so that those above 0 hold the positive
    # scores.
    place = np.ceil(values / BIN).astype(np.int64) + BINS // 2 - 1
    return np.bincount(np.clip(place, 0, BINS - 1), minlength=BINS)


def sharing(rows: LabelRows, of_document: np.ndarray) -> dict[str, int]:
    """`scored` pairs, local contexts among them, and the distinct `prefixes` (c_j, c_j+1) they need, over the
    documents in the mask.
    """
    kept = of_document[rows.document_R]
    begin = rows.begin_Q[of_document[rows.document_R[rows.begin_Q]]]
    first = rows.documents["chunk_begin"].to_numpy()[rows.document_R]
    candidates, local = (first + rows.candidate_R)[kept], (first + rows.query_R - 2)[begin]
    return {
        "scored": len(candidates) + len(local),
        "prefixes": len(np.unique(np.concatenate([candidates, local]))),
    }
