"""Parts of a database are parts of each other, and what is read of one is what lies nearest in it."""

from dataclasses import dataclass

import numpy as np

from benchmarks._databases import Database, HeldOut, nothing, request_of
from benchmarks.database import FRACTIONS, part_of

SIZE = 4


@dataclass
class Index:
    """As much of a PassageIndex as is looked at: six documents of one to six passages."""

    documents = "abcdef"
    document_N = np.repeat(np.arange(6), np.arange(1, 7))
    keys_ND = np.random.default_rng(0).normal(size=(21, 3)).astype(np.float32)
    passages_NR = np.arange(21 * 2 * SIZE).reshape(21, 2 * SIZE)

    def __len__(self):
        return 21


def test_parts_grow_and_hold_whole_documents():
    index, before = Index(), np.empty(0, int)
    for fraction in FRACTIONS[1:]:
        part = part_of(index, fraction)
        assert len(part) >= fraction * len(index)
        assert {*before} <= {*part}
        chosen = {*index.document_N[part]}
        assert len(part) == np.isin(index.document_N, [*chosen]).sum()
        before = part
    assert len(before) == len(index)


def test_a_chunk_reads_what_is_nearest_in_the_part():
    index, keys = Index(), np.random.default_rng(1).normal(size=(3, 3)).astype(np.float32)
    document = HeldOut("x", np.arange(3 * SIZE + 1), keys)
    for fraction in (0.3, 1.0):
        part = part_of(index, fraction)
        database = Database(index.keys_ND[part], index.passages_NR[part])
        request = request_of(document, database.nearest(keys, 2))
        for chunk, key in enumerate(keys):
            nearest = part[np.argsort(((index.keys_ND[part] - key) ** 2).sum(axis=1), kind="stable")[:2]]
            ids = request.given.best.ids_CR[chunk]
            assert (request.passages_PR[ids[:2]] == index.passages_NR[nearest]).all()
            assert (ids[2:] == -1).all()
        assert (request.given.best.ids_CR[3] == -1).all(), "the last chunk is not whole"


def test_of_an_empty_database_nothing_is_read():
    document = HeldOut("x", np.arange(9), np.zeros((2, 3), np.float32))
    empty = Database(np.empty((0, 3), np.float32), np.empty((0, 2 * SIZE), np.uint32))
    for given in (empty.nearest(document.keys_CD, 2), nothing(2, 2 * SIZE)):
        assert (request_of(document, given).given.best.ids_CR == -1).all()
