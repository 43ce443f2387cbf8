import numpy as np

from model.masks import band_mask, eligible_pairs, two_stride_mask


def test_two_strides() -> None:
    strides, stride = 3, 4
    mask = np.asarray(two_stride_mask(strides, stride))
    for block, query, key in np.ndindex(mask.shape):
        position, seen = block * stride + query, (block - 1) * stride + key
        assert mask[block, query, key] == (0 <= seen <= position)


def test_band() -> None:
    chunks, window, per_chunk = 4, 3, 2
    before = 5
    mask = np.asarray(band_mask(before, chunks, window, per_chunk))
    assert mask.shape == (chunks * per_chunk, (before + chunks) * per_chunk)
    for query, seen in np.ndindex(mask.shape):
        position = before * per_chunk + query
        assert mask[query, seen] == (seen <= position and position // per_chunk - seen // per_chunk < window)


def test_a_segment_sees_the_stride_before_it() -> None:
    mask = np.asarray(two_stride_mask(1, 4, True))
    assert np.array_equal(mask, two_stride_mask(2, 4)[1:])


def test_no_retrieved_token_is_visible() -> None:
    stride = 3
    mask = np.asarray(eligible_pairs(15, stride))
    first_visible = np.maximum(0, (np.arange(15) // stride - 1) * stride)
    for query in range(15):
        found = np.flatnonzero(mask[query])
        assert list(found) == list(range(max(0, first_visible[query] - 1)))
