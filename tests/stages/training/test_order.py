import itertools

import numpy as np
import pytest

from stages.training.order import by_document, independent

KEYS = [("a", 0), ("a", 8), ("a", 16), ("b", 0), ("c", 0), ("c", 8), ("d", 0)]


def test_every_epoch_reads_every_sequence_once_in_its_own_order():
    order = [int(independent(KEYS[:3], step, 1, 0).rows_B[0]) for step in range(30)]
    epochs = [order[begin : begin + 3] for begin in range(0, 30, 3)]
    assert all(sorted(epoch) == [0, 1, 2] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    assert order == [int(independent(KEYS[:3], step, 1, 0).rows_B[0]) for step in range(30)]
    assert [int(row) for step in range(15) for row in independent(KEYS[:3], step, 2, 0).rows_B] == order
    assert independent(KEYS, 4, 3, 0).starts_B.all()


def test_documents_are_read_in_order_and_begin_where_they_begin():
    steps = [by_document(KEYS, step, 1, 0) for step in range(70)]
    read = [(KEYS[int(rows[0])], bool(starts[0])) for rows, starts in steps]
    epochs = [read[begin : begin + 7] for begin in range(0, 70, 7)]
    assert all(sorted(key for key, _ in epoch) == KEYS for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    assert all(starts == (first == 0) for (_, first), starts in read)
    for (before, _), (after, starts) in itertools.pairwise(read):
        assert starts or after == (before[0], before[1] + 8)


def test_the_rows_of_a_batch_read_other_parts_of_the_stream():
    """Row b is where one row alone would be after the share b / B of an epoch; what it begins with counts as
    the start of a document.
    """
    alone = np.array([int(by_document(KEYS, step, 1, 3).rows_B[0]) for step in range(40)])
    for step in range(20):
        rows, starts = by_document(KEYS, step, 3, 3)
        assert rows.tolist() == [alone[step + offset] for offset in (0, 2, 4)]
        assert starts.tolist() == [step == 0 or KEYS[row][1] == 0 for row in rows]


def test_a_document_whose_first_sequence_was_left_out_still_begins():
    keys = [("a", 8), ("a", 16), ("b", 0)]
    starts = {
        keys[int(rows[0])]: bool(begins[0])
        for rows, begins in (by_document(keys, step, 1, 0) for step in range(1, 4))
    }
    assert starts == {("a", 8): True, ("a", 16): False, ("b", 0): True}


@pytest.mark.parametrize("order", [independent, by_document])
def test_every_seed_has_its_own_order(order):
    orders = {tuple(int(order(KEYS, step, 1, seed).rows_B[0]) for step in range(14)) for seed in range(5)}
    assert len(orders) == 5
