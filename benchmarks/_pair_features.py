"""What two chunks of a document say of each other without any model: eleven features of each pair, for
`retriever_labels.py`.

x of a term is its saturated count in a chunk, as in model/lexical_start.py. A neighbour is the pair (c_j,
c_j+1); nothing of the query's target is looked at.
"""

from __future__ import annotations

import numpy as np

from model.lexical_start import SATURATION
from stages.mining.bm25 import best_candidates
from stages.parameters import Mining

TERMS, LONGEST = 8192, 8
NAMES = (
    "shared tokens",
    "distance",
    "log of the distance",
    "tokens shared with c_j+1",
    "shared bigrams",
    "shared trigrams",
    "longest end of c_i in the neighbour",
    "BM25",
    "tokens shared with c_i-2 and c_i-1",
    "distinct tokens of c_j",
    "mean overlap with all so far",
)


def pair_features(chunks_CM: np.ndarray, stride_chunks: int, mining: Mining) -> np.ndarray:
    """float32 [C, C, 11] of every query i and chunk j of one pool; what does not lie before i means
    nothing.
    """
    size, tokens_CT = len(chunks_CM), grams(chunks_CM, 1)
    before_CT = _shifted(tokens_CT, 1) + _shifted(tokens_CT, 2)
    mean_CT = np.cumsum(tokens_CT, axis=0) / np.arange(1, size + 1)[:, None]
    distance_CC = np.arange(size)[:, None] - np.arange(size).astype(np.float32)
    bigrams_CT, trigrams_CT = grams(chunks_CM, 2), grams(chunks_CM, 3)
    distinct_C = np.count_nonzero(tokens_CT, axis=1).astype(np.float32)
    features = (
        tokens_CT @ tokens_CT.T,
        distance_CC,
        np.log(np.maximum(distance_CC, 1)),
        tokens_CT @ _shifted(tokens_CT, -1).T,
        bigrams_CT @ bigrams_CT.T,
        trigrams_CT @ trigrams_CT.T,
        longest_ends(chunks_CM),
        bm25(chunks_CM, stride_chunks, mining),
        before_CT @ tokens_CT.T,
        np.broadcast_to(distinct_C, (size, size)),
        mean_CT @ tokens_CT.T,
    )
    return np.stack(features, axis=-1).astype(np.float32)


def grams(chunks_CM: np.ndarray, length: int) -> np.ndarray:
    """float32 [C, T]: x of every run of so many tokens, which share `TERMS` by a hash where they are more."""
    ids = np.zeros((len(chunks_CM), chunks_CM.shape[1] - length + 1), np.int64)
    for place in range(length):
        ids = ids * 1_000_003 + chunks_CM[:, place : place + ids.shape[1]]
    counts_CT = np.zeros((len(chunks_CM), TERMS), np.float32)
    np.add.at(counts_CT, (np.arange(len(chunks_CM))[:, None], ids % TERMS), 1.0)
    return (SATURATION + 1) * counts_CT / (counts_CT + SATURATION)


def longest_ends(chunks_CM: np.ndarray) -> np.ndarray:
    """[C, C]: how many of the last tokens of c_i, 8 at most, stand in (c_j, c_j+1) with a token after
    them.
    """
    size, text = len(chunks_CM), chunks_CM.ravel().astype(np.int64)
    agrees = np.ones((size, len(text)), bool)
    length = np.zeros((size, len(text)), np.int8)
    for back in range(min(LONGEST, chunks_CM.shape[1])):
        earlier = np.concatenate((np.full(back, -1), text[: len(text) - back]))
        agrees &= earlier == chunks_CM[:, -1 - back, None]
        length += agrees
    by_chunk = length.reshape(size, size, -1)
    followed = by_chunk[..., :-1].max(axis=2)  # the neighbour ends with c_j+1
    return np.maximum(by_chunk.max(axis=2), _shifted(followed.T, -1).T)


def bm25(chunks_CM: np.ndarray, stride_chunks: int, mining: Mining) -> np.ndarray:
    """[C, C]: the score of every eligible chunk by c_i alone, 0 of the others."""
    scores_CC = np.zeros((len(chunks_CM), len(chunks_CM)))
    every = mining.model_copy(update={"max_candidates": len(chunks_CM)})
    for part in best_candidates(chunks_CM.astype(np.uint32), stride_chunks, every, with_target=False):
        scores_CC[part.query_R, part.candidate_R] = part.score_R
    return scores_CC


def _shifted(rows_CX: np.ndarray, by: int) -> np.ndarray:
    """The rows `by` further down (up if it is negative); zeros come in."""
    moved = np.zeros_like(rows_CX)
    if by > 0:
        moved[by:] = rows_CX[:-by]
    else:
        moved[:by] = rows_CX[-by:]
    return moved
