"""Supervision lands on the right chunk, and the order of the data is a function of step and seed."""

import numpy as np
import pyarrow as pa
import pytest

from data_contracts.candidates import CANDIDATES
from data_contracts.failure import Failure
from data_contracts.sequences import SEQUENCES, SUPERVISION
from stages.supervision.layout import supervise
from stages.training.data import TrainingData
from stages.training.order import Segments
from tests.stages.artifacts import write_artifact
from tests.tiny import tiny_geometry

GEOMETRY = tiny_geometry(chunk_tokens=4, sequence_chunks=8)


def sequences(count: int = 3) -> pa.Table:
    rows = [np.arange(33, dtype=np.uint32) + 100 * number for number in range(count - 1)] + [
        np.arange(10, dtype=np.uint32)
    ]
    return SEQUENCES.table(
        {"doc_id": ["d"] * count, "first_chunk": [8 * n for n in range(count)], "token_ids": rows},
        sequence_tokens=32,
    )


def pairs() -> pa.Table:
    columns = {
        "doc_id": ["d"] * 5,
        "split": ["train"] * 5,
        "query_form": ["qt"] * 5,
        "query_chunk": [4, 6, 6, 14, 14],
        "candidate_chunk": [0, 2, 1, 9, 10],
        "rank": [0, 0, 1, 0, 1],
        "bm25": [5.0, 4.0, 3.0, 2.0, 1.0],
    }
    return CANDIDATES.table(columns, stride_chunks=2, sequence_chunks=8)


@pytest.fixture
def artifacts(tmp_path):
    write_artifact(SEQUENCES, tmp_path / "sequences", sequences())
    write_artifact(
        SUPERVISION, tmp_path / "supervision", supervise(sequences(), pairs(), "bm25", 2, GEOMETRY)
    )
    return tmp_path


def segments(*rows: int) -> Segments:
    return Segments(np.array(rows), np.ones(len(rows), bool))


def test_candidates_are_counted_from_the_start_of_their_sequence(artifacts):
    data = TrainingData(artifacts / "sequences", artifacts / "supervision", GEOMETRY)
    batch = data.batch(segments(0, 1, 2))
    assert batch.candidates_BCS[0, 4].tolist() == [0, -1]
    assert batch.candidates_BCS[0, 6].tolist() == [2, 1]
    assert batch.scores_BCS[0, 6].tolist() == [4.0, 3.0]
    assert batch.candidates_BCS[1, 6].tolist() == [1, 2]
    assert batch.labelled_BC.sum() == 3
    assert (batch.candidates_BCS[2] == -1).all()


def test_targets_are_the_next_tokens_and_padding_is_masked(artifacts):
    data = TrainingData(artifacts / "sequences", None, GEOMETRY)
    batch = data.batch(segments(1, 2))
    assert batch.targets_BL[0, :-1].tolist() == batch.tokens_BL[0, 1:].tolist()
    assert batch.targets_BL[0, -1] == 132
    assert batch.loss_mask_BL.sum(axis=1).tolist() == [32, 9]


def test_supervision_of_other_sequences_is_refused(artifacts):
    write_artifact(
        SUPERVISION, artifacts / "supervision", supervise(sequences(2), pairs(), "bm25", 2, GEOMETRY)
    )
    with pytest.raises(Failure, match="does not fit the sequences"):
        TrainingData(artifacts / "sequences", artifacts / "supervision", GEOMETRY)


def test_short_sequences_can_be_left_out_and_are_counted(artifacts):
    whole = TrainingData(artifacts / "sequences", artifacts / "supervision", GEOMETRY)
    data = TrainingData(artifacts / "sequences", artifacts / "supervision", GEOMETRY, shortest=0.9)
    assert (whole.left_out, data.left_out) == ((0, 0), (1, 9))
    assert data.keys == whole.keys[:2]
    for one, other in zip(data.batch(segments(0, 1)), whole.batch(segments(0, 1)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert TrainingData(artifacts / "sequences", None, GEOMETRY, shortest=9 / 32).left_out == (0, 0)


def test_no_sequence_is_long_enough(tmp_path):
    table = SEQUENCES.table(
        {"doc_id": ["d"], "first_chunk": [0], "token_ids": [np.arange(10, dtype=np.uint32)]},
        sequence_tokens=32,
    )
    write_artifact(SEQUENCES, tmp_path, table)
    with pytest.raises(Failure, match="none of 1 sequences has 29 tokens or more"):
        TrainingData(tmp_path, None, GEOMETRY, shortest=0.9)
