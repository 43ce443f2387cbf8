"""The passages that a document reads of a whole corpus, in place of a memory of its own past."""

from __future__ import annotations

import numpy as np


class Passages:
    """Tokens [P, R] of passages, which a document knows by their numbers; nothing of what is read of the
    document is kept.
    """

    recall = None

    def __init__(self, tokens_PR: np.ndarray) -> None:
        self._tokens_PR = np.asarray(tokens_PR, np.int32)

    def add(self, keys_CD: np.ndarray | None, states_CMD: np.ndarray) -> None:
        """The next chunks of the document, of which nothing is needed."""

    def pairs(self, ids_X: np.ndarray) -> np.ndarray:
        """[X, R] the tokens of passages, -1 where the number is."""
        found = np.full((*ids_X.shape, self._tokens_PR.shape[1]), -1, np.int32)
        found[ids_X >= 0] = self._tokens_PR[ids_X[ids_X >= 0]]
        return found
