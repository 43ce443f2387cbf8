"""What the reference LM is trained on: text as it stands, text as it will be scored, and repetition.

A scoring prompt is (c_j, c_j+1, c_i, c_i+1) (paper section 3.2, "Retrieval-Pretrained Transformer", arXiv
2306.13421). A large pretrained model takes such a splice in its stride; a small one must have seen splices,
and must have learnt to copy over a gap, before what precedes a target says anything about it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SPLICED_SHARE = 0.4
REPEATED_SHARE = 0.1


def training_windows(
    documents: Sequence[np.ndarray],
    top1: Sequence[np.ndarray],
    *,
    count: int,
    seed: int,
    chunk_tokens: int = 64,
) -> np.ndarray:
    """Windows of four chunks, shuffled: 40 % spliced, 10 % with a repeated span, the others contiguous.

    Contiguous windows start at chunk borders. Both kinds are drawn without replacement until all were used,
    then again. Every token of a window counts in the loss. Where no query has a candidate, contiguous windows
    take the place of spliced ones.

    Args:
        documents: token ids of each document, unsigned integers [tokens].
        top1: for each document the best candidate chunk of each of its query chunks, int32 [query chunks], or
            -1 for none.
        count: number of windows.
        seed: decides every draw.
        chunk_tokens: tokens in a chunk.

    Returns:
        int32 [count, 4 * chunk_tokens].

    Raises:
        ValueError: if the two sequences differ in length, a query, candidate or successor is no whole chunk,
            or no document fills a window.
    """
    if len(documents) != len(top1):
        raise ValueError(
            f"{len(documents)} documents but candidates for {len(top1)}; give one array of candidates to each"
            " document"
        )
    rng = np.random.default_rng(seed)
    length = 4 * chunk_tokens
    tokens = np.concatenate([np.asarray(document) for document in documents] or [np.empty(0)]).astype(
        np.int32
    )
    starts = np.cumsum([0, *(len(document) for document in documents)])[:-1]
    contiguous = _contiguous_starts(documents, starts, chunk_tokens)
    spliced = np.concatenate(
        [_splices(*each, chunk_tokens) for each in zip(documents, top1, starts, strict=True)]
    )

    repeated_count = round(REPEATED_SHARE * count)
    spliced_count = round(SPLICED_SHARE * count) if len(spliced) else 0
    plain = contiguous[_draw(rng, len(contiguous), count - spliced_count)]
    windows = tokens[plain[:, None] + np.arange(length)]
    for window in windows[:repeated_count]:
        _repeat_a_span(rng, window, chunk_tokens)
    pairs = spliced[_draw(rng, len(spliced), spliced_count)]
    halves = tokens[pairs[:, :, None] + np.arange(length // 2)]
    return rng.permutation(np.concatenate([windows, halves.reshape(-1, length)]))


def _contiguous_starts(documents: Sequence[np.ndarray], starts: np.ndarray, chunk_tokens: int) -> np.ndarray:
    length = 4 * chunk_tokens
    found = [
        start + np.arange(0, len(document) - length + 1, chunk_tokens)
        for document, start in zip(documents, starts, strict=True)
    ]
    result = np.concatenate([*found, np.empty(0)]).astype(np.int64)
    if not len(result):
        longest = max((len(document) for document in documents), default=0)
        raise ValueError(
            f"the longest of {len(documents)} documents has {longest} tokens, a window needs {length}; add"
            " longer documents"
        )
    return result


def _splices(document: np.ndarray, top1: np.ndarray, start: int, chunk_tokens: int) -> np.ndarray:
    """Where (c_j, c_j+1) and (c_i, c_i+1) begin among all tokens, int64 [queries with a candidate, 2]."""
    queries = np.flatnonzero(top1 >= 0)
    chunks = np.stack([top1[queries], queries], axis=1).astype(np.int64)
    if chunks.size and chunks.max() + 1 >= len(document) // chunk_tokens:
        raise ValueError(
            f"chunk {chunks.max()} is named, but a document of {len(document)} tokens has"
            f" {len(document) // chunk_tokens} whole chunks and each named chunk needs a successor; mine"
            " candidates from this document"
        )
    return start + chunks * chunk_tokens


def _draw(rng: np.random.Generator, items: int, count: int) -> np.ndarray:
    """`count` of `items`, each used once before any is used twice."""
    rounds = -(-count // items) if items else 0
    return np.concatenate([*(rng.permutation(items) for _ in range(rounds)), np.empty(0, np.int64)])[
        :count
    ].astype(np.int64)


def _repeat_a_span(rng: np.random.Generator, window: np.ndarray, chunk_tokens: int) -> None:
    """Writes a span of a quarter chunk to two chunks a second time, anywhere behind itself."""
    span = int(rng.integers(chunk_tokens // 4, 2 * chunk_tokens + 1))
    first = int(rng.integers(0, len(window) - 2 * span + 1))
    second = int(rng.integers(first + span, len(window) - span + 1))
    window[second : second + span] = window[first : first + span]
