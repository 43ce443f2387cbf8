"""Batches of training sequences: which sequences a step reads is a pure function of the step and the seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_contracts.contract import fact, open_artifact
from data_contracts.failure import Exit, Failure
from data_contracts.sequences import SEQUENCES, SUPERVISION
from data_contracts.tokens import list_rows
from model.language_model import Batch
from stages.parameters import Geometry


class TrainingData:
    """All training sequences of a corpus, padded, with the supervision of one kind or none."""

    def __init__(self, sequences: Path, supervision: Path | None, geometry: Geometry):
        """Read and align both artifacts.

        Raises:
            Failure: if there is no sequence, or the two artifacts do not hold the same ones.
        """
        table = open_artifact(SEQUENCES, sequences).read_all()
        if not table.num_rows:
            raise Failure("there is nothing to train on", "the train split has no sequence", "add documents to the corpus", Exit.USAGE)
        self.keys = list(zip(table.column("doc_id").to_pylist(), table.column("first_chunk").to_pylist(), strict=True))
        length = geometry.sequence_tokens
        self._tokens = np.zeros((len(self.keys), length + 1), np.int32)
        self._lengths = np.zeros(len(self.keys), np.int64)
        for row, ids in enumerate(list_rows(table.column("token_ids"))):
            self._tokens[row, : len(ids)] = ids
            self._lengths[row] = len(ids) - 1
        shape = (len(self.keys), geometry.sequence_chunks, 1)
        self._candidates, self._scores = np.full(shape, -1, np.int32), np.zeros(shape, np.float32)
        self._labelled = np.zeros(shape[:2], bool)
        if supervision:
            self._read_supervision(supervision, geometry.sequence_chunks)

    def _read_supervision(self, directory: Path, chunks: int) -> None:
        table = open_artifact(SUPERVISION, directory).read_all()
        keys = list(zip(table.column("doc_id").to_pylist(), table.column("first_chunk").to_pylist(), strict=True))
        if keys != self.keys:
            raise Failure(f"{directory} does not fit the sequences", "they hold other sequences", "re-run the stage", Exit.CONTRACT)
        shape = (len(keys), chunks, fact(table, "slots"))
        self._candidates = np.concatenate(list_rows(table.column("candidates"))).reshape(shape)
        self._scores = np.concatenate(list_rows(table.column("scores"))).reshape(shape)
        self._labelled = np.array(table.column("labelled").to_pylist(), bool)

    def rows(self, step: int, batch: int, seed: int) -> np.ndarray:
        """[B] sequences of one step: every epoch is a permutation of its own, and no sequence is left out."""
        positions = np.arange(step * batch, (step + 1) * batch)
        epochs = positions // len(self.keys)
        orders = {epoch: np.random.default_rng((seed, int(epoch))).permutation(len(self.keys)) for epoch in np.unique(epochs)}
        return np.array([orders[epoch][position % len(self.keys)] for epoch, position in zip(epochs, positions, strict=True)])

    def batch(self, rows: np.ndarray) -> Batch:
        """The batch of these sequences; padding is masked out of the loss."""
        tokens = self._tokens[rows]
        mask = np.arange(tokens.shape[1] - 1) < self._lengths[rows][:, None]
        return Batch(tokens[:, :-1], tokens[:, 1:], mask, self._candidates[rows], self._scores[rows], self._labelled[rows])
