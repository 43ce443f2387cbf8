"""Memorizing Transformer (arXiv 2203.08913, section 3) in float64: one attention layer with a memory, a
stride at a time.

The paper's equations in the frame of the other systems: RoPE in place of T5 biases and logits q k / sqrt(K),
where the paper norms queries and keys; the search is exact. As there, remembered keys have no position and
the two softmaxes are mixed by a gate of each head.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tests.model.baselines.numpy_attention import (
    Parameters,
    Past,
    in_heads,
    joined,
    local_attention,
    logits_of,
    mixed,
    sigmoid,
)


class Memory(NamedTuple):
    """Keys and values of the last M tokens before a stride, oldest first, and which of the M there are; then
    the stride before it.
    """

    keys_BMHK: np.ndarray
    values_BMHK: np.ndarray
    filled_BM: np.ndarray
    past: Past


def empty_memory(batch: int, tokens: int, stride: int, heads: int, size: int) -> Memory:
    """What a document starts with: room for `tokens` tokens."""
    nothing = np.zeros((batch, tokens, heads, size))
    return Memory(nothing, nothing, np.zeros((batch, tokens), bool), Past.none(batch, stride, heads, size))


def memorizing_attention(
    parameters: Parameters, x_BWD: np.ndarray, state: Memory, starts_B: np.ndarray, topk: int
) -> tuple[np.ndarray, Memory]:
    """The layer's output for one stride, and the memory for the next. `starts_B`: rows whose document begins
    with this stride.

    `parameters`: query, key, value, output [D, D] without biases, gate [H]. The memory is read before the
    stride is written to it; a query of a row with an empty memory gets the local attention alone.
    """
    heads = len(parameters["gate"])
    queries, keys, values = (in_heads(x_BWD @ parameters[name], heads) for name in ("query", "key", "value"))
    past, filled_BM = state.past.unless(starts_B), state.filled_BM & ~starts_B[:, None]
    local = local_attention(queries, keys, values, past)
    remembered = _from_memory(queries, state.keys_BMHK, state.values_BMHK, filled_BM, topk)
    gate_BWHK = sigmoid(parameters["gate"])[:, None] * filled_BM.any(axis=1)[:, None, None, None]
    out = joined((1.0 - gate_BWHK) * local + gate_BWHK * remembered) @ parameters["output"]
    return out, Memory(
        _last(state.keys_BMHK, keys),
        _last(state.values_BMHK, values),
        _last(filled_BM, np.ones(x_BWD.shape[:2], bool)),
        Past(keys, values, np.ones(len(x_BWD), bool)),
    )


def _from_memory(
    queries_BWHK: np.ndarray, keys_BMHK: np.ndarray, values_BMHK: np.ndarray, filled_BM: np.ndarray, topk: int
) -> np.ndarray:
    """Softmax over the `topk` remembered tokens with the highest products, of each query and head
    for itself.
    """
    logits = np.where(filled_BM[:, None, None, :], logits_of(queries_BWHK, keys_BMHK), -np.inf)
    lowest_chosen = np.sort(logits, axis=-1)[..., -min(topk, logits.shape[-1]), None]
    return mixed(logits, values_BMHK, logits >= lowest_chosen)


def _last(memory: np.ndarray, stride: np.ndarray) -> np.ndarray:
    """As many entries as the memory has, the newest: the rest is forgotten."""
    return np.concatenate((memory, stride), axis=1)[:, -memory.shape[1] :]
