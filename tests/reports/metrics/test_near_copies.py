"""Copies of targets against a loop over sets of n-grams."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.metrics.near_copies import GRAM, NEAR, containment


def by_hand(chunks: list[list[int]], target: int, candidate: int) -> float:
    size = min(GRAM, max(map(len, chunks)))

    def grams(text: list[int]) -> set[tuple[int, ...]]:
        return {tuple(text[at : at + size]) for at in range(len(text) - size + 1)}

    share = len(grams(chunks[target]) & grams(chunks[candidate] + chunks[candidate + 1])) / len(
        grams(chunks[target])
    )
    return share if share >= NEAR else 0.0


def lists(chunks: list[list[int]]) -> pa.ListArray:
    return pa.array(chunks, pa.list_(pa.uint32()))


@st.composite
def documents(draw):
    """(chunks of two documents, the document of each, targets, candidates); few words, so that much repeats
    itself.
    """
    size = draw(st.sampled_from([4, 8, 10, 16]))
    chunk = st.lists(st.integers(0, draw(st.sampled_from([0, 1, 30]))), min_size=size, max_size=size)
    kinds = draw(st.lists(chunk, min_size=1, max_size=6))
    chunks = [draw(st.sampled_from(kinds)) for _ in range(16)]
    chunks[7] = chunks[7][: draw(st.integers(1, size))]  # the last of the first document
    rows = st.tuples(st.sampled_from([0, 8]), st.integers(0, 4), st.integers(2, 6)).filter(
        lambda row: row[1] + 2 <= row[2]
    )
    pairs = [
        (begin + target, begin + candidate)
        for begin, candidate, target in draw(st.lists(rows, min_size=1, max_size=20))
    ]
    return chunks, np.repeat([0, 1], 8), *(np.array(column) for column in zip(*pairs, strict=True))


@settings(max_examples=150, deadline=None)
@given(documents())
def test_containment_is_that_of_sets_of_grams(made):
    chunks, document, targets, candidates = made
    expected = [
        by_hand(chunks, target, candidate) for target, candidate in zip(targets, candidates, strict=True)
    ]
    assert containment(lists(chunks), document, targets, candidates) == pytest.approx(expected)


def test_an_identical_chunk_on_either_side_has_every_gram():
    rng = np.random.default_rng(0)
    chunks = rng.integers(0, 1000, (6, 64)).tolist()
    chunks[4] = chunks[1]
    assert containment(lists(chunks), np.zeros(6), np.array([4, 4, 5]), np.array([0, 1, 0])).tolist() == [
        1.0,
        1.0,
        0.0,
    ]


def test_a_gram_across_the_border_of_the_pair_counts():
    chunks = [list(range(100, 108)), list(range(8)), list(range(8, 16)), list(range(4, 12))]
    assert containment(lists(chunks), np.zeros(4), np.array([3]), np.array([1])).tolist() == [1.0]


def test_a_gram_that_runs_over_the_end_of_the_pair_into_the_target_does_not():
    target = [1, 2] * 4
    # the last two of the pair and six of the target are the target
    chunks = [list(range(100, 108)), [9, 9, 9, 9, 9, 9, 1, 2], target]
    assert containment(lists(chunks), np.zeros(3), np.array([2]), np.array([0])).tolist() == [0.0]


def test_half_of_the_grams_is_a_copy_and_less_is_not():
    target = list(range(64))  # 57 grams
    for kept, share in ((36, 29 / 57), (35, 0.0)):
        chunks = [target[:kept] + [1000 + n for n in range(64 - kept)], list(range(2000, 2064)), target]
        assert containment(lists(chunks), np.zeros(3), np.array([2]), np.array([0])) == pytest.approx([share])


def test_the_same_text_in_another_document_is_no_copy():
    same = list(range(64))
    other = [list(range(100, 164)), list(range(200, 264))]
    assert containment(
        lists([*other, same, same, *other, same]), np.repeat([0, 1], [4, 3]), np.array([6]), np.array([4])
    ).tolist() == [0.0]
