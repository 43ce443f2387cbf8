"""Batches of training sequences, padded, with what their systems learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from data_contracts.contract import fact, open_artifact
from data_contracts.failure import Exit, Failure
from data_contracts.sequences import SEQUENCES, SUPERVISION
from data_contracts.tokens import list_rows
from model.language_model import Batch
from model.system import System
from stages.parameters import Geometry, Recipe, Run, Training
from stages.training.order import Segments
from stages.training.passages import ORIGIN_OF, PassageSource, passages_of


class TrainingData:
    """All training sequences of a corpus, padded, with the supervision of one kind or none."""

    def __init__(
        self,
        sequences: Path,
        supervision: Path | None,
        geometry: Geometry,
        shortest: float = 0.0,
        passages: PassageSource | None = None,
    ):
        """Read and align the artifacts. Sequences of fewer than the share `shortest` of their length are
        counted in `left_out`.

        Raises:
            Failure: if there is no sequence, none that is long enough, or the artifacts do not hold the same
                ones; as `passages_of` states.
        """
        table = open_artifact(SEQUENCES, sequences).read_all()
        if not table.num_rows:
            raise Failure(
                "there is nothing to train on",
                "the train split has no sequence",
                "add documents to the corpus",
                Exit.USAGE,
            )
        self.keys = list(
            zip(table.column("doc_id").to_pylist(), table.column("first_chunk").to_pylist(), strict=True)
        )
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
        self._passages = passages_of(passages, self.keys, self._lengths, geometry) if passages else None
        self.left_out = self._leave_out(shortest * length)

    def _read_supervision(self, directory: Path, chunks: int) -> None:
        table = open_artifact(SUPERVISION, directory).read_all()
        keys = list(
            zip(table.column("doc_id").to_pylist(), table.column("first_chunk").to_pylist(), strict=True)
        )
        if keys != self.keys:
            raise Failure(
                f"{directory} does not fit the sequences",
                "they hold other sequences",
                "re-run the stage",
                Exit.CONTRACT,
            )
        shape = (len(keys), chunks, fact(table, "slots"))
        self._candidates = np.concatenate(list_rows(table.column("candidates"))).reshape(shape)
        self._scores = np.concatenate(list_rows(table.column("scores"))).reshape(shape)
        self._labelled = np.array(table.column("labelled").to_pylist(), bool)

    def _leave_out(self, fewest: float) -> tuple[int, int]:
        """Sequences of fewer tokens, and the tokens of all of them."""
        kept = self._lengths >= fewest
        if not kept.any():
            cause = f"none of {len(kept)} sequences has {fewest:.0f} tokens or more"
            raise Failure(
                "there is nothing to train on", cause, "lower training.shortest_sequence", Exit.USAGE
            )
        gone = int((~kept).sum()), int(self._lengths[~kept].sum())
        self.keys = [key for key, keep in zip(self.keys, kept, strict=True) if keep]
        self._tokens, self._lengths = self._tokens[kept], self._lengths[kept]
        self._candidates, self._scores, self._labelled = (
            self._candidates[kept],
            self._scores[kept],
            self._labelled[kept],
        )
        self._passages = None if self._passages is None else self._passages[kept]
        return gone

    def batch(self, segments: Segments) -> Batch:
        """The batch of these sequences; padding is masked out of the loss."""
        rows = segments.rows_B
        tokens = self._tokens[rows]
        mask = np.arange(tokens.shape[1] - 1) < self._lengths[rows][:, None]
        scores, labelled = self._scores[rows], self._labelled[rows]
        passages = None if self._passages is None else self._passages[rows]
        given: Any = (
            tokens[:, :-1],
            tokens[:, 1:],
            mask,
            self._candidates[rows],
            scores,
            labelled,
            segments.starts_B,
            passages,
        )
        return Batch(*given)


def data_of(
    home: Path, system: System, run: Run, recipe: Recipe, geometry: Geometry, training: Training
) -> TrainingData:
    """What a run of a corpus whose artifacts lie in `home` is trained on. Raises like `TrainingData`."""
    place = home / run.input
    passages = (
        PassageSource(place, ORIGIN_OF[system.retriever], recipe.neighbours)
        if system.supervision == "corpus"
        else None
    )
    supervision = None if passages or system.supervision == "none" else place
    return TrainingData(home / "sequences", supervision, geometry, training.shortest_sequence, passages)
