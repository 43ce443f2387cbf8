"""The Faiss memory against a sort over all eligible keys."""

import numpy as np
import pytest

from data_contracts.eligibility import last_eligible
from model.memory import search_past


@pytest.mark.parametrize(("chunks", "stride"), [(1, 2), (7, 2), (40, 2), (37, 4), (64, 16)])
def test_the_best_eligible_chunks_are_found_and_no_other(chunks, stride):
    generator = np.random.default_rng(chunks)
    queries, keys = generator.normal(size=(2, chunks, 16)).astype(np.float32)
    found = search_past(queries, keys, stride, count=5)
    for query in range(chunks):
        eligible = max(0, last_eligible(query, stride) + 1)
        expected = np.argsort(-(keys[:eligible] @ queries[query]))[:5]
        assert found[query, : len(expected)].tolist() == expected.tolist()
        assert (found[query, len(expected) :] == -1).all()


def test_later_keys_cannot_change_what_was_found():
    generator = np.random.default_rng(0)
    queries, keys = generator.normal(size=(2, 30, 8)).astype(np.float32)
    before = search_past(queries, keys, 2, 4)
    keys[16:] *= 100
    after = search_past(queries, keys, 2, 4)
    assert np.array_equal(before[:20], after[:20])
    assert not np.array_equal(before[20:], after[20:])
