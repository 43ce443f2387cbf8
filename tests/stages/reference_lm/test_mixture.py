"""The training mixture of the reference LM: what each kind of window holds, in what share, and from where."""

from __future__ import annotations

import numpy as np
import pytest

from stages.reference_lm.mixture import training_windows

CHUNK = 8


@pytest.fixture
def documents() -> list[np.ndarray]:
    """Three documents in which every token is unique, so that each says where it came from."""
    return [
        np.arange(0, 165, dtype=np.uint16),
        np.arange(1000, 1020, dtype=np.uint16),
        np.arange(2000, 2400, dtype=np.uint16),
    ]


@pytest.fixture
def top1(documents: list[np.ndarray]) -> list[np.ndarray]:
    """Candidates three to nine chunks back for the queries far enough in, none for the others."""
    candidates = []
    for document in documents:
        queries = np.arange(len(document) // CHUNK - 1)
        candidates.append(np.where(queries >= 9, queries - 3 - queries % 7, -1).astype(np.int32))
    return candidates


def kinds(windows: np.ndarray) -> np.ndarray:
    """c = contiguous, s = spliced, r = with a repeat, of windows over unique tokens."""
    repeated = np.array([len(np.unique(window)) < len(window) for window in windows])
    contiguous = (np.diff(windows) == 1).all(axis=1)
    return np.where(repeated, "r", np.where(contiguous, "c", "s"))


def test_shares_and_shape(documents: list[np.ndarray], top1: list[np.ndarray]) -> None:
    windows = training_windows(documents, top1, count=200, seed=3, chunk_tokens=CHUNK)
    assert (windows.shape, windows.dtype) == ((200, 4 * CHUNK), np.int32)
    names, counts = np.unique(kinds(windows), return_counts=True)
    assert dict(zip(names, counts, strict=True)) == {"c": 100, "s": 80, "r": 20}


def test_spliced_windows_put_the_candidate_and_its_successor_before_the_query_and_its_target(
    documents: list[np.ndarray], top1: list[np.ndarray]
) -> None:
    windows = training_windows(documents, top1, count=300, seed=0, chunk_tokens=CHUNK)
    expected = {
        tuple(np.concatenate([document[j * CHUNK : (j + 2) * CHUNK], document[i * CHUNK : (i + 2) * CHUNK]]))
        for document, candidates in zip(documents, top1, strict=True)
        for i, j in enumerate(candidates)
        if j >= 0
    }
    found = {tuple(window) for window in windows[kinds(windows) == "s"]}
    assert found == expected


def test_contiguous_windows_start_at_chunks_and_all_are_used_before_any_is_used_again(
    documents: list[np.ndarray], top1: list[np.ndarray]
) -> None:
    windows = training_windows(
        documents, [np.full(len(t), -1, np.int32) for t in top1], count=64, seed=0, chunk_tokens=CHUNK
    )
    assert (kinds(windows) != "s").all()
    starts = windows[:, 0]
    assert set(starts % 1000 % CHUNK) == {0}
    possible = (165 - 32) // CHUNK + 1 + (400 - 32) // CHUNK + 1
    counts = np.unique(starts, return_counts=True)[1]
    assert len(counts) == possible == 64
    assert counts.max() == 1


def test_a_repeated_span_recurs_behind_itself_and_nothing_else_changes(
    documents: list[np.ndarray], top1: list[np.ndarray]
) -> None:
    windows = training_windows(documents, top1, count=1000, seed=5, chunk_tokens=CHUNK)
    spans = set()
    for window in windows[kinds(windows) == "r"]:
        original = window[0] + np.arange(4 * CHUNK)
        (changed,) = np.nonzero(window != original)
        second, span = changed[0], len(changed)
        first = int(np.flatnonzero(original == window[second])[0])
        assert np.array_equal(changed, second + np.arange(span))
        assert first + span <= second
        assert np.array_equal(window[second : second + span], window[first : first + span])
        spans.add(span)
    assert (min(spans), max(spans)) == (CHUNK // 4, 2 * CHUNK)


def test_the_seed_decides_everything(documents: list[np.ndarray], top1: list[np.ndarray]) -> None:
    first, again, other = (
        training_windows(documents, top1, count=50, seed=seed, chunk_tokens=CHUNK) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_windows_of_the_default_chunk_hold_256_tokens() -> None:
    windows = training_windows([np.zeros(300, np.uint16)], [np.full(3, -1, np.int32)], count=2, seed=0)
    assert windows.shape == (2, 256)


@pytest.mark.parametrize(
    ("lengths", "candidates", "message"),
    [
        ([31], [[-1]], "longest of 1 documents has 31 tokens, a window needs 32"),
        ([], [], "longest of 0 documents"),
        ([64], [[-1], [-1]], "1 documents but candidates for 2"),
        ([64], [[-1] * 7 + [0]], "chunk 7 is named, but a document of 64 tokens has 8 whole chunks"),
        ([64], [[-1, 9]], "chunk 9 is named"),
    ],
)
def test_impossible_input_is_refused(lengths: list[int], candidates: list[list[int]], message: str) -> None:
    documents = [np.arange(length, dtype=np.uint16) for length in lengths]
    with pytest.raises(ValueError, match=message):
        training_windows(
            documents, [np.array(c, np.int32) for c in candidates], count=10, seed=0, chunk_tokens=CHUNK
        )
