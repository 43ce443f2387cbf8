"""What an update reads: questions in an order that the seed decides, each with its candidates, the null
document first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from model.baselines.realm import Batch
from stages.realm.layout import Layout, joined, null_row
from stages.realm.passages import Passages
from stages.realm.questions import Questions


class Data(NamedTuple):
    """Questions and what may be retrieved for them."""

    questions: Questions
    passages: Passages
    layout: Layout

    def trivial(self, rows_B: np.ndarray, query: int, passage: int) -> bool:
        """Whether a passage holds the sentence that query `query` of the batch `rows_B` was made from, or
        says it again.
        """
        question = int(rows_B[query])
        first, last = self.questions.own_Q2[question].tolist()
        return first <= passage <= last or self.questions.sentences[question] in self.passages.plain[passage]

    def batch(self, rows_B: np.ndarray, ids_BN: np.ndarray) -> Batch:
        """The questions `rows_B` with the null document and the passages `ids_BN`."""
        of, layout = self.questions, self.layout
        null_B1T = np.broadcast_to(null_row(layout), (len(rows_B), 1, layout.passage))
        passages_BNT = np.concatenate((null_B1T, self.passages.rows_XT[ids_BN]), axis=1)
        queries_BT = of.rows_QT[rows_B]
        parts = (of.places_QA, of.answers_QA, of.weights_QA)
        read = joined(queries_BT, passages_BNT, layout)
        return Batch(*map(jnp.asarray, (queries_BT, passages_BNT, *read, *(part[rows_B] for part in parts))))


def orders(count: int, batch: int, steps: int, seed: int) -> Iterator[np.ndarray]:
    """Rows of each of the batches; drawn anew in each epoch, and what is left over at its end is not read in
    it.
    """
    rng, whole = np.random.default_rng(seed), count // batch
    for step in range(steps):
        if step % whole == 0:
            order = rng.permutation(count)
        yield order[step % whole * batch :][:batch]
