"""When the index is built anew: never, every so many updates, or when it has fallen behind.

How far it has fallen behind is measured on a fixed sample: of what an index of the weights of now finds among
some passages for some questions, the share that the old vectors find. That embeds the sample and not the
corpus. It is measured on a schedule of its own, whatever the rule, so that rules can be compared.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from model.baselines.realm import Embedder
from model.parameters import Architecture, Parameters
from stages.realm.index import Index, embed, recall

EVERY, ADAPTIVE = "every", "adaptive"
PROBE_QUESTIONS, PROBE_PASSAGES = 64, 512


class Refresh(NamedTuple):
    """`rule`, the updates between two refreshes for `every`, the recall below which `adaptive` refreshes, the
    updates between two probes, and after how many updates a refresh that was begun is taken over, however
    long building took."""

    rule: str
    every: int
    bound: float
    probe_every: int
    hand_over: int

    def wanted(self, step: int, recalled: float | None) -> bool:
        """Whether a refresh begins after update `step`, at which the probe gave `recalled`, None where there
        was none.
        """
        if self.rule == ADAPTIVE:
            return recalled is not None and recalled < self.bound
        return self.rule == EVERY and step % self.every == 0

    def probed(self, step: int) -> bool:
        """Whether the probe is made after this update."""
        return step % self.probe_every == 0


class Probe(NamedTuple):
    """A fixed sample: rows of questions, and rows of passages with their numbers."""

    questions_QT: np.ndarray
    passages_XT: np.ndarray
    numbers_X: np.ndarray

    def recall(
        self, architecture: Architecture[Embedder], parameters: Parameters, keys_XE: np.ndarray, count: int
    ) -> float:
        """Of the `count` best passages of the sample by these weights, the share that the vectors of an index
        find, for the same questions embedded by these weights."""
        queries, fresh = (
            embed(architecture, parameters, rows) for rows in (self.questions_QT, self.passages_XT)
        )
        stale, now = (Index(keys).search(queries, count).ids_BN for keys in (keys_XE[self.numbers_X], fresh))
        return recall(stale, now)


def make_probe(questions_QT: np.ndarray, passages_XT: np.ndarray, seed: int) -> Probe:
    """64 questions and 512 passages at most, drawn by the seed."""
    rng = np.random.default_rng(seed)
    questions, numbers = (
        np.sort(rng.permutation(len(rows))[:most])
        for rows, most in ((questions_QT, PROBE_QUESTIONS), (passages_XT, PROBE_PASSAGES))
    )
    return Probe(questions_QT[questions], passages_XT[numbers], numbers)
