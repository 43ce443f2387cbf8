"""Block-Recurrent Transformer (arXiv 2203.07852, section 3, "fixed gate, skip") in float64: one recurrent
layer, a stride at a time.

The paper's equations in the frame of the other systems: RoPE in place of T5 biases and logits q k / sqrt(K).
No projection has a bias, as in the authors' configuration. Keys and values are shared between the two
directions, queries are not.
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
    rms_normed,
    sigmoid,
)


class Recurrence(NamedTuple):
    """The N states and the stride before."""

    states_BND: np.ndarray
    past: Past


def fresh_recurrence(parameters: Parameters, batch: int, stride: int, heads: int) -> Recurrence:
    """What a document starts with: the learned states."""
    initial_ND = parameters["initial_state"]
    return Recurrence(
        np.repeat(initial_ND[None], batch, axis=0),
        Past.none(batch, stride, heads, initial_ND.shape[1] // heads),
    )


def block_recurrent_layer(
    parameters: Parameters, x_BWD: np.ndarray, state: Recurrence, starts_B: np.ndarray
) -> tuple[np.ndarray, Recurrence]:
    """The layer's output for one stride, and the states for the next. `starts_B`: rows whose document begins
    with this stride.

    `parameters`: query, key, value, state_query_of_tokens, state_key, state_value, state_self_query,
    state_cross_query [D, D]; output, state_output [2 D, D]; state_norm, gate [D]; state_positions,
    initial_state [N, D]. Tokens read the states of before the stride.
    """
    heads = state.past.keys_BWHK.shape[2]
    past = state.past.unless(starts_B)
    states_BND = np.where(starts_B[:, None, None], parameters["initial_state"], state.states_BND)
    placed = rms_normed(states_BND, parameters["state_norm"]) + parameters["state_positions"]

    def projected(x: np.ndarray, *names: str) -> list[np.ndarray]:
        return [in_heads(x @ parameters[name], heads) for name in names]

    queries, keys, values, to_states = projected(x_BWD, "query", "key", "value", "state_query_of_tokens")
    state_keys, state_values, to_themselves, to_tokens = projected(
        placed, "state_key", "state_value", "state_self_query", "state_cross_query"
    )
    both_keys, both_values, exists_BT = past.with_own(keys, values)

    of_states = mixed(logits_of(to_states, state_keys), state_values, np.True_)
    vertical = joined(local_attention(queries, keys, values, past), of_states) @ parameters["output"]

    among_states = mixed(logits_of(to_themselves, state_keys), state_values, np.True_)
    of_tokens = mixed(logits_of(to_tokens, both_keys), both_values, exists_BT[:, None, None, :])
    horizontal = joined(among_states, of_tokens) @ parameters["state_output"]

    gate_D = sigmoid(parameters["gate"])
    after = gate_D * states_BND + (1.0 - gate_D) * horizontal
    return vertical, Recurrence(after, Past(keys, values, np.ones(len(x_BWD), bool)))
