"""The rule by its two properties: nothing retrieved is visible or in the future, and nothing more could be
allowed.
"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data_contracts.eligibility import first_query, is_eligible, last_eligible


@given(st.integers(0, 500), st.integers(1, 32), st.integers(0, 8))
def test_the_last_pair_ends_right_before_the_visible_window(offset, stride, first_stride):
    start = first_stride * stride
    query = start + offset
    first_visible = start + ((query - start) // stride - 1) * stride
    last = last_eligible(query, stride, start)
    assert last + 1 == first_visible - 1
    assert last + 1 < query


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 16))
def test_only_chunks_of_the_pool_are_eligible(query, candidate, stride):
    assert not is_eligible(query, -1, stride)
    assert is_eligible(query, candidate, stride) == (candidate <= last_eligible(query, stride))


@given(st.integers(0, 400), st.integers(0, 400), st.integers(1, 16), st.integers(0, 5))
def test_segment_and_document_agree_where_the_segment_starts_on_a_stride(query, candidate, stride, strides):
    start = stride * strides
    expected = is_eligible(query, candidate, stride)
    assert is_eligible(query + start, candidate + start, stride, start) == expected


@given(st.integers(1, 64))
def test_the_first_query_is_the_first_chunk_with_something_to_retrieve(stride):
    first = first_query(stride)
    assert last_eligible(first, stride) >= 0
    assert last_eligible(first - 1, stride) < 0


def test_arrays_give_what_integers_give():
    query, candidate = np.arange(40)[:, None], np.arange(40)[None]
    table = is_eligible(query, candidate, 4)
    assert all(table[i, j] == is_eligible(i, j, 4) for i in range(40) for j in range(40))
    assert table.any()


def test_the_paper_sized_rule_is_the_official_inference_rule():
    for query in range(256):
        assert last_eligible(query, 16) == 16 * (query // 16) - 18
