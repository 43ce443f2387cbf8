"""Passages of a document: each whole chunk with the one after it."""

from __future__ import annotations

import numpy as np


def passages_of(text_T: np.ndarray, size: int) -> np.ndarray:
    """[C, 2 M] from the tokens of a document; its last token, the end of text, fills what is missing after
    the last whole chunk.
    """
    count = len(text_T) // size
    if not count:
        return np.empty((0, 2 * size), text_T.dtype)
    padded = np.concatenate((text_T, np.full(size, text_T[-1], text_T.dtype)))
    return np.lib.stride_tricks.sliding_window_view(padded[: (count + 1) * size], 2 * size)[::size]
