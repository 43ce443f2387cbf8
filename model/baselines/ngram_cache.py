"""An n-gram cache: a language model that is counted over the past of a text, and over nothing else.

Absolute discounting, interpolated down to the uniform distribution over the vocabulary (Kneser and Ney 1995,
with plain lower orders): p_n(w | h) = (max(c(h w) - d, 0) + d N(h) p_n-1(w | h')) / c(h), with c counts, N(h)
how many different tokens followed h, and h' the context h without its first token. It sums to 1 over the
vocabulary for every past. Counts are those of a prefix of the text that may be another for every token,
looked up in sorted positions, so that no token is counted one by one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LONGEST = 5  # tokens of context
DISCOUNT = 0.75


class Cached(NamedTuple):
    """The probability of each asked token, and the length of its longest context that occurred before, -1
    where nothing was counted.
    """

    probabilities_N: np.ndarray
    lengths_N: np.ndarray


def ngram_cache(
    tokens_T: np.ndarray, limits_N: np.ndarray, vocabulary: int, asked_N: np.ndarray | None = None
) -> Cached:
    """What the cache says of the last N tokens of a text.

    Each is predicted from the tokens before it by the n-grams that end before position `limits_N[n]` of the
    text. `asked_N` are tokens to ask for in place of those that stand there.

    Raises:
        ValueError: a limit lies beyond its token.
    """
    first = len(tokens_T) - len(limits_N)
    if (limits_N > first + np.arange(len(limits_N))).any():
        raise ValueError("a limit lies beyond its token: the cache would count what it is to predict")
    tokens_T, positions_T = tokens_T.astype(np.int64), np.arange(len(tokens_T))
    asked_N = tokens_T[first:] if asked_N is None else asked_N.astype(np.int64)
    probabilities_N, lengths_N = np.full(len(limits_N), 1 / vocabulary), np.full(len(limits_N), -1)
    contexts_T = np.zeros(len(tokens_T), np.int64)
    for length in range(LONGEST + 1):
        keys, begins, pairs_T = np.unique(
            contexts_T * vocabulary + tokens_T, return_index=True, return_inverse=True
        )
        context_N = _counts(contexts_T, positions_T, contexts_T[first:], limits_N)
        different_N = _counts(contexts_T[begins], begins, contexts_T[first:], limits_N)
        pair_N = _counts(
            pairs_T, positions_T, _places(contexts_T[first:] * vocabulary + asked_N, keys), limits_N
        )
        known_N = context_N > 0
        mass_N = np.maximum(pair_N - DISCOUNT, 0) + DISCOUNT * different_N * probabilities_N
        probabilities_N = np.divide(mass_N, context_N, out=probabilities_N.copy(), where=known_N)
        lengths_N[known_N] = length
        # The context one token longer is the pair that ended before; the first token of the text has one of
        # its own.
        contexts_T = np.concatenate(([len(keys)], pairs_T[:-1]))
    return Cached(probabilities_N, lengths_N)


def _places(wanted: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Where each wanted key stands among the sorted keys; one past their end if it does not."""
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, places, len(keys))


def _counts(
    groups: np.ndarray, positions: np.ndarray, asked_N: np.ndarray, limits_N: np.ndarray
) -> np.ndarray:
    """How many of `positions`, each in one of `groups`, are of group `asked_N[n]` and below `limits_N[n]`."""
    span = int(positions.max()) + 2
    keys = np.sort(groups * span + positions)
    return np.searchsorted(keys, asked_N * span + np.minimum(limits_N, span - 1)) - np.searchsorted(
        keys, asked_N * span
    )
