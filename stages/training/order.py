"""Which training sequences a step reads: a pure function of the step and the seed.

Every epoch is a permutation of its own: of the sequences, or, where state is carried over documents, of the
documents, whose sequences then follow each other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np

Key = tuple[str, int]
"""doc_id and first chunk of a sequence."""


class Segments(NamedTuple):
    """[B] numbers of the sequences of a step, and whether each begins a document as far as its row of the
    batch is concerned.
    """

    rows_B: np.ndarray
    starts_B: np.ndarray

    def of(self, rows: slice) -> Segments:
        """Those of some rows of the batch."""
        return Segments(self.rows_B[rows], self.starts_B[rows])


def independent(keys: Sequence[Key], step: int, batch: int, seed: int) -> Segments:
    """The next `batch` sequences of the permutation of all; each is on its own."""
    positions = np.arange(step * batch, (step + 1) * batch)
    return Segments(
        _at(positions, len(keys), lambda generator: generator.permutation(len(keys)), seed),
        np.ones(batch, bool),
    )


def by_document(keys: Sequence[Key], step: int, batch: int, seed: int) -> Segments:
    """The next sequence of each row of the batch. Row b begins at the share b / B of the first epoch and goes
    on, epoch after epoch.
    """
    documents = [
        np.array([number for number, _ in group])
        for _, group in itertools.groupby(enumerate(keys), lambda item: item[1][0])
    ]

    def epoch(generator: np.random.Generator) -> np.ndarray:
        return np.concatenate([documents[number] for number in generator.permutation(len(documents))])

    positions = np.arange(batch) * len(keys) // batch + step
    begins = np.isin(np.arange(len(keys)), [document[0] for document in documents])
    rows_B = _at(positions, len(keys), epoch, seed)
    return Segments(rows_B, begins[rows_B] | (step == 0))


def _at(
    positions: np.ndarray, size: int, order: Callable[[np.random.Generator], np.ndarray], seed: int
) -> np.ndarray:
    """The sequences at these places of the epochs that follow each other."""
    epochs = positions // size
    orders = {epoch: order(np.random.default_rng((seed, int(epoch)))) for epoch in np.unique(epochs)}
    return np.array(
        [orders[epoch][position % size] for epoch, position in zip(epochs, positions, strict=True)]
    )


Order = Callable[[Sequence[Key], int, int, int], Segments]
"""(keys of all sequences, step, batch, seed) -> the sequences of the step."""
ORDERS: dict[Literal["none", "document"], Order] = {"none": independent, "document": by_document}
"""How the sequences follow each other, by what a system carries."""
