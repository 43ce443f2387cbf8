"""Layers that carry state over three segments of two documents, one of which starts in between, and
restatements stride by stride.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from model.decoder import restart

SEGMENTS, STRIDES = 3, 2
STARTS = np.array([[True, True], [False, True], [False, False]])


def ours(layer: Any, x: np.ndarray) -> tuple[np.ndarray, Any]:
    start = layer.start(2)
    run, state, parts = jax.jit(lambda x, past, starts: layer(x, restart(past, start, starts))), start, []
    for part, starts in zip(x, STARTS, strict=True):
        out, state = run(part, state, starts)
        parts.append(out)
    return np.stack(parts), state


def theirs(step, state, x: np.ndarray, stride: int) -> tuple[np.ndarray, Any]:
    parts = np.empty(x.shape)
    for number, starts in enumerate(STARTS):
        for begin in range(0, x.shape[2], stride):
            own = slice(begin, begin + stride)
            parts[number, :, own], state = step(
                x[number, :, own].astype(np.float64), state, starts & (begin == 0)
            )
    return parts, state


def wide(**arrays: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(array[...], np.float64) for name, array in arrays.items()}
