"""Attention in float64, written from the equations and apart from `model/`, for the restatements of the
baselines beside this file.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Parameters = dict[str, np.ndarray]


class Past(NamedTuple):
    """Keys and values, not turned, of the stride before, and whether a row has one."""

    keys_BWHK: np.ndarray
    values_BWHK: np.ndarray
    exists_B: np.ndarray

    @classmethod
    def none(cls, batch: int, stride: int, heads: int, size: int) -> Past:
        """What stands before a document."""
        nothing = np.zeros((batch, stride, heads, size))
        return cls(nothing, nothing, np.zeros(batch, bool))

    def unless(self, starts_B: np.ndarray) -> Past:
        """The past of rows that go on with their document."""
        return self._replace(exists_B=self.exists_B & ~starts_B)

    def with_own(
        self, keys_BWHK: np.ndarray, values_BWHK: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Keys, values and which of them exist, [B, 2 W], over this stride and the one before."""
        batch, stride = keys_BWHK.shape[:2]
        exists = np.concatenate(
            (np.repeat(self.exists_B[:, None], stride, axis=1), np.ones((batch, stride), bool)), axis=1
        )
        return (
            np.concatenate((self.keys_BWHK, keys_BWHK), axis=1),
            np.concatenate((self.values_BWHK, values_BWHK), axis=1),
            exists,
        )


def in_heads(x: np.ndarray, heads: int) -> np.ndarray:
    """[..., D] -> [..., H, K]."""
    return x.reshape(*x.shape[:-1], heads, -1)


def joined(*parts: np.ndarray) -> np.ndarray:
    """Some of [..., H, K] -> [..., D] each, side by side."""
    return np.concatenate([part.reshape(*part.shape[:-2], -1) for part in parts], axis=-1)


def turned(x_BTHK: np.ndarray, positions_T: np.ndarray) -> np.ndarray:
    """RoPE (arXiv 2104.09864, equation 15): features 2 n and 2 n + 1 are a complex number, turned by position
    / 10000^(2 n / K).
    """
    size = x_BTHK.shape[-1]
    angles = positions_T[:, None, None] / 10_000.0 ** (np.arange(0, size, 2) / size)
    numbers = (x_BTHK[..., 0::2] + 1j * x_BTHK[..., 1::2]) * np.exp(1j * angles)
    return np.stack((numbers.real, numbers.imag), axis=-1).reshape(x_BTHK.shape)


def logits_of(queries_BQHK: np.ndarray, keys_BTHK: np.ndarray) -> np.ndarray:
    """[B, H, Q, T]: q k / sqrt(K)."""
    return np.einsum("bqhk,bthk->bhqt", queries_BQHK, keys_BTHK) / np.sqrt(queries_BQHK.shape[-1])


def mixed(logits_BHQT: np.ndarray, values_BTHK: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """softmax over the visible keys (broadcasts to [B, H, Q, T]), times the values; 0 for a query that sees
    no key.
    """
    shown = np.where(visible, logits_BHQT, -np.inf)
    highest = shown.max(axis=-1, keepdims=True)
    weights = np.exp(shown - np.where(np.isfinite(highest), highest, 0.0))
    total = weights.sum(axis=-1, keepdims=True)
    return np.einsum("bhqt,bthk->bqhk", weights / np.where(total == 0.0, 1.0, total), values_BTHK)


def local_attention(
    queries_BWHK: np.ndarray, keys_BWHK: np.ndarray, values_BWHK: np.ndarray, past: Past
) -> np.ndarray:
    """Attention of one stride to itself, causally, and to all of the stride before; positions 0 to 2 W - 1
    over the two.
    """
    stride = queries_BWHK.shape[1]
    keys, values, exists_BT = past.with_own(keys_BWHK, values_BWHK)
    positions = np.arange(2 * stride)
    causal = positions <= positions[stride:, None]
    logits = logits_of(turned(queries_BWHK, positions[stride:]), turned(keys, positions))
    return mixed(logits, values, causal & exists_BT[:, None, None, :])


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + np.exp(-x))


def rms_normed(x: np.ndarray, scale_D: np.ndarray) -> np.ndarray:
    """x / sqrt(mean(x^2) + 1e-6) * scale."""
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6) * scale_D
