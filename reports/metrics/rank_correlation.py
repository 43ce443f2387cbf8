"""Spearman's and Kendall's rank correlation of many short lists at once, ties included."""

from __future__ import annotations

import numpy as np

CELLS = 4_000_000  # comparisons that stand in memory at a time, a byte each


def rank_correlations(a_QK: np.ndarray, b_QK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spearman's rho and Kendall's tau-b of every row, float64 [Q]; NaN where a row has no two different
    values on either side.

    Rows that are shorter than the longest are filled with NaN in both arrays.
    """
    rows, width = a_QK.shape
    rho, tau = np.full(rows, np.nan), np.full(rows, np.nan)
    step = max(1, CELLS // max(1, width * width))
    for begin in range(0, rows, step):
        part = slice(begin, begin + step)
        rho[part], tau[part] = _of_block(a_QK[part], b_QK[part])
    return rho, tau


def _of_block(a_qK: np.ndarray, b_qK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a_qKK, b_qKK = _order(a_qK), _order(b_qK)
    # The sum of a row of signs is twice the average rank, measured from the middle.
    a_ranks, b_ranks = a_qKK.sum(axis=2, dtype=np.float64), b_qKK.sum(axis=2, dtype=np.float64)
    agreement = np.einsum("qij,qij->q", a_qKK, b_qKK, dtype=np.int64)
    compared = np.abs(a_qKK).sum(axis=(1, 2), dtype=np.float64) * np.abs(b_qKK).sum(
        axis=(1, 2), dtype=np.float64
    )
    spread = (a_ranks**2).sum(axis=1) * (b_ranks**2).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return (a_ranks * b_ranks).sum(axis=1) / np.sqrt(spread), agreement / np.sqrt(compared)


def _order(values_qK: np.ndarray) -> np.ndarray:
    """Signs of all differences within a row, int8 [q, K, K]; 0 for a tie or a NaN."""
    left, right = values_qK[:, :, None], values_qK[:, None, :]
    return (left > right).view(np.int8) - (left < right).view(np.int8)
