"""How much of a text stands in another word for word: the longest run of tokens that both have (RETRO, arXiv
2112.04426, section 2.6).
"""

from __future__ import annotations

import numpy as np

BLOCK_CELLS = 2**21  # compared at once, which bounds memory


def longest_common_runs(texts_QM: np.ndarray, others_QPR: np.ndarray) -> np.ndarray:
    """[Q, P] tokens of the longest run that text q and its other text p have in common; a token below 0
    equals none.
    """
    block = max(1, BLOCK_CELLS // max(1, others_QPR[0].size)) if len(others_QPR) else 1
    parts = [np.empty((0, others_QPR.shape[1]), np.int32)]
    for first in range(0, len(texts_QM), block):
        parts.append(_runs(texts_QM[first : first + block], others_QPR[first : first + block]))
    return np.concatenate(parts)


def _runs(texts_QM: np.ndarray, others_QPR: np.ndarray) -> np.ndarray:
    """`run_QPR` is how long a run that ends at this token of the text and at each token of the others is."""
    texts_QM = np.where(texts_QM < 0, -1, texts_QM).astype(np.int64)
    others_QPR = np.where(others_QPR < 0, -2, others_QPR.astype(np.int64))
    run_QPR, best_QP = np.zeros(others_QPR.shape, np.int16), np.zeros(others_QPR.shape[:2], np.int16)
    for place in range(texts_QM.shape[1]):
        before = np.zeros_like(run_QPR)
        before[..., 1:] = run_QPR[..., :-1]
        run_QPR = np.where(others_QPR == texts_QM[:, place, None, None], before + 1, 0).astype(np.int16)
        np.maximum(best_QP, run_QPR.max(axis=2), out=best_QP)
    return best_QP.astype(np.int32)
