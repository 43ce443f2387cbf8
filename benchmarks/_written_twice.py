"""Real text into which earlier spans are written a second time, so that a reader has something to copy whose
place it cannot learn.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data_contracts.eligibility import first_query, last_eligible

SHARE = 0.75  # of the pairs of chunks
SHORTEST, LONGEST = 60, 118  # tokens of a span
LATEST_SOURCE = 40  # a span begins so many tokens at most into the pair it is taken from
FIRST_TARGET, LAST_TARGET = 8, 56  # and between these into its query chunk


class WrittenTwice(NamedTuple):
    """[L + 1] tokens; [C, N] the neighbours that hold the spans, and in their place others that do not; [L]
    whether a position predicts a token of the target chunk that the neighbour holds with the one before
    it."""

    text_T: np.ndarray
    true_CN: np.ndarray
    wrong_CN: np.ndarray
    repeated_L: np.ndarray


def write_twice(
    rng: np.random.Generator, text_T: np.ndarray, size: int, stride_chunks: int, neighbours: int
) -> WrittenTwice:
    """The text with spans of earlier, eligible pairs of chunks in place of what stood in three quarters of
    its pairs.
    """
    text, chunks = text_T.copy(), (len(text_T) - 1) // size
    true, repeated = random_neighbours(rng, chunks, stride_chunks, neighbours), np.zeros(chunks * size, bool)
    wrong = random_neighbours(rng, chunks, stride_chunks, neighbours)
    for query in range(first_query(stride_chunks) + stride_chunks, chunks - 1, 2):
        if rng.random() < SHARE:
            source = int(rng.integers(last_eligible(query, stride_chunks) + 1))
            begin, again = (
                int(rng.integers(LATEST_SOURCE + 1)),
                int(rng.integers(FIRST_TARGET, LAST_TARGET + 1)),
            )
            length = min(int(rng.integers(SHORTEST, LONGEST + 1)), 2 * size - max(begin, again))
            first, last = query * size + again, query * size + again + length
            text[first:last] = text[source * size + begin : source * size + begin + length]
            others = np.setdiff1d(
                np.arange(last_eligible(query, stride_chunks) + 1), (source - 1, source, source + 1)
            )
            true[query], wrong[query] = -1, -1
            true[query, 0] = source
            chosen = rng.permutation(others)[:neighbours]
            wrong[query, : len(chosen)] = chosen
            repeated[max((query + 1) * size, first + 1) - 1 : last - 1] = True
    return WrittenTwice(text, true, wrong, repeated)


def random_neighbours(
    rng: np.random.Generator, chunks: int, stride_chunks: int, neighbours: int
) -> np.ndarray:
    """[C, N] eligible chunks by chance, -1 where there are fewer."""
    drawn = np.full((chunks, neighbours), -1, np.int32)
    for query in range(chunks):
        chosen = rng.permutation(max(0, last_eligible(query, stride_chunks) + 1))[:neighbours]
        drawn[query, : len(chosen)] = chosen
    return drawn
