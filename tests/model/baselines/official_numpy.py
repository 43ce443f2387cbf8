"""The layers of google-research/meliad (commit cc1aef5, transformer/memory) in float64, a window at a time,
from reading its code.

Queries and keys have length 1; logits are |scale| (q k + bias by distance). A token sees the W tokens before
it and not itself; a document begins with a window, and a memory, of zeros, which are attended to like
anything else.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tests.model.baselines.numpy_attention import Parameters, in_heads, joined, rms_normed, sigmoid


class Kept(NamedTuple):
    """Of the window before: keys and values [B, W, H, K]. Of the memory: M of them, in slots that are written
    over in turn, and how many windows it has had. Of a recurrent layer: its states."""

    keys: np.ndarray
    values: np.ndarray
    memory_keys: np.ndarray
    memory_values: np.ndarray
    written: np.ndarray
    states: np.ndarray

    def started_anew(self, starts_B: np.ndarray, initial: np.ndarray) -> Kept:
        """Zeros, and the initial states, in the rows whose document starts."""

        def reset(x: np.ndarray, first: np.ndarray | float = 0.0) -> np.ndarray:
            return np.where(starts_B.reshape(-1, *(1,) * (x.ndim - 1)), first, x)

        return Kept(*map(reset, self[:-1]), reset(self.states, initial))


def bucket(distance: int) -> int:
    """Of 32: distances 0 to 15 one each; from 16 to 128 the other 16 by equal ratios, the last beyond."""
    return distance if distance < 16 else min(31, 16 + int(16 * math.log(distance / 16) / math.log(8) + 1e-6))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.sqrt(np.sum(x**2, axis=-1, keepdims=True) + 1e-6)


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def attention(
    queries: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    scale_H: np.ndarray,
    bias: np.ndarray | float = 0.0,
) -> np.ndarray:
    logits = np.abs(scale_H)[:, None, None] * (np.einsum("bqhk,bthk->bhqt", queries, keys) + bias)
    return np.einsum("bhqt,bthk->bqhk", softmax(logits), values)


def local(
    queries: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    kept: Kept,
    scale_H: np.ndarray,
    table: np.ndarray | None,
) -> np.ndarray:
    """A token at a time: it sees the last W of what was kept and of the tokens before it."""
    window = queries.shape[1]
    all_keys, all_values = (
        np.concatenate((kept.keys, keys), axis=1),
        np.concatenate((kept.values, values), axis=1),
    )
    out = np.empty_like(queries)
    for token in range(window):
        seen = slice(token, token + window)
        farthest_first = [bucket(distance) for distance in range(window, 0, -1)]
        bias = 0.0 if table is None else table[:, None, farthest_first]
        out[:, token] = attention(
            queries[:, token : token + 1], all_keys[:, seen], all_values[:, seen], scale_H, bias
        )[:, 0]
    return out


def memorizing(
    p: Parameters, x: np.ndarray, kept: Kept, starts_B: np.ndarray, buckets: int
) -> tuple[np.ndarray, Kept]:
    """The layer with a memory: of each of so many interleaved buckets of slots the best that was written is
    read, or else a zero.
    """
    heads = len(p["scale"])
    kept = kept.started_anew(starts_B, kept.states)
    queries, keys = (unit(in_heads(x @ p[name], heads)) for name in ("query", "key"))
    values = in_heads(x @ p["value"], heads)
    distant = np.empty_like(queries)
    slots = kept.memory_keys.shape[1]
    for row, token, head in np.ndindex(*queries.shape[:3]):
        scores = kept.memory_keys[row, :, head] @ queries[row, token, head]
        scores[np.arange(slots) >= kept.written[row] * x.shape[1]] -= 1e6
        best = [max(range(first, slots, buckets), key=lambda slot: scores[slot]) for first in range(buckets)]
        found, read = kept.memory_keys[row, best, head], kept.memory_values[row, best, head]
        distant[row, token, head] = (
            softmax(abs(p["scale"][head]) * (found @ queries[row, token, head])) @ read
        )
    gate = sigmoid(p["gate"])[:, None]
    mixed = (1.0 - gate) * local(queries, keys, values, kept, p["scale"], None) + gate * distant
    memory_keys, memory_values = kept.memory_keys.copy(), kept.memory_values.copy()
    for row, turn in enumerate(kept.written.astype(int)):
        place = (turn * x.shape[1] + np.arange(x.shape[1])) % slots
        memory_keys[row, place], memory_values[row, place] = keys[row], values[row]
    return joined(mixed) @ p["output"], Kept(
        keys, values, memory_keys, memory_values, kept.written + 1, kept.states
    )


def block_recurrent(
    p: Parameters, x: np.ndarray, kept: Kept, starts_B: np.ndarray
) -> tuple[np.ndarray, Kept]:
    """The recurrent layer, "bias" gate, without feed-forward: each of its four attentions has a scale of its
    own.
    """
    heads = len(p["scale"])
    kept = kept.started_anew(starts_B, p["initial_state"])
    placed = rms_normed(kept.states, p["state_norm"]) + p["state_positions"]
    queries, keys, of_states = (
        unit(in_heads(x @ p[name], heads)) for name in ("query", "key", "state_query")
    )
    values = in_heads(x @ p["value"], heads)
    state_keys, itself, cross = (
        unit(in_heads(placed @ p[name], heads))
        for name in ("state_key", "state_self_query", "state_cross_query")
    )
    state_values = in_heads(placed @ p["state_value"], heads)
    vertical = (
        local(queries, keys, values, kept, p["scale"], p["table"]),
        attention(of_states, state_keys, state_values, p["state_scale"]),
    )
    both = np.concatenate((kept.keys, keys), axis=1), np.concatenate((kept.values, values), axis=1)
    horizontal = (
        attention(itself, state_keys, state_values, p["state_self_scale"]),
        attention(cross, *both, p["state_cross_scale"]),
    )
    gate = sigmoid(p["gate"])
    states = gate * kept.states + (1.0 - gate) * (joined(*horizontal) @ p["state_output"])
    return joined(*vertical) @ p["output"], kept._replace(keys=keys, values=values, states=states)
