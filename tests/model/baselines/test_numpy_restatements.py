"""The float64 restatements, which the models are compared with, against what must hold whatever the code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.sliding_window import Window, sliding_window_attention
from tests.model.baselines.block_recurrent_numpy import block_recurrent_layer, fresh_recurrence
from tests.model.baselines.griffin_numpy import griffin_block, zero_recurrence
from tests.model.baselines.memorizing_numpy import empty_memory, memorizing_attention
from tests.model.baselines.numpy_attention import Parameters, Past, in_heads, local_attention, turned

ROWS, STRIDE, HEADS, SIZE, STATES = 2, 4, 2, 6, 5
WIDTH = HEADS * SIZE
EVERYTHING = 10**6
NO_START, START, SECOND_ROW_STARTS = np.zeros(ROWS, bool), np.ones(ROWS, bool), np.array([False, True])


def draw(seed: int, **shapes: tuple[int, ...]) -> Parameters:
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(size=shape) / np.sqrt(shape[0] if len(shape) > 1 else 1.0)
        for name, shape in shapes.items()
    }


def draw_square(seed: int, *names: str) -> Parameters:
    return draw(seed, **{name: (WIDTH, WIDTH) for name in names})


def draw_x(strides: int, seed: int = 1, rows: int = ROWS) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, strides * STRIDE, WIDTH))


MEMORIZING = {**draw_square(0, "query", "key", "value", "output"), **draw(1, gate=(HEADS,))}
RECURRENT = {
    **draw_square(2, "query", "key", "value", "state_query_of_tokens"),
    **draw_square(3, "state_key", "state_value", "state_self_query", "state_cross_query"),
    **draw(4, output=(2 * WIDTH, WIDTH), state_output=(2 * WIDTH, WIDTH), state_norm=(WIDTH,), gate=(WIDTH,)),
    **draw(5, state_positions=(STATES, WIDTH), initial_state=(STATES, WIDTH)),
}
GRIFFIN = {
    **draw(
        6,
        y_kernel=(WIDTH, 16),
        y_bias=(16,),
        x_kernel=(WIDTH, 16),
        x_bias=(16,),
        out_kernel=(16, WIDTH),
        out_bias=(WIDTH,),
    ),
    **draw(
        7,
        conv_kernel=(3, 16),
        conv_bias=(16,),
        decay=(16,),
        input_gate_kernel=(4, 4, 4),
        input_gate_bias=(4, 4),
    ),
    **draw(8, recurrence_gate_kernel=(4, 4, 4), recurrence_gate_bias=(4, 4)),
}


def memorize(x, state=None, starts=START, topk=EVERYTHING, parameters=MEMORIZING, tokens=6 * STRIDE):
    state = empty_memory(len(x), tokens, STRIDE, HEADS, SIZE) if state is None else state
    return memorizing_attention(parameters, x, state, starts, topk)


def recur(x, state=None, starts=START, parameters=RECURRENT):
    state = fresh_recurrence(parameters, len(x), STRIDE, HEADS) if state is None else state
    return block_recurrent_layer(parameters, x, state, starts)


def griffin(x, state=None, starts=START, parameters=GRIFFIN):
    return griffin_block(
        parameters, x, zero_recurrence(parameters, len(x)) if state is None else state, starts
    )


LAYERS = [memorize, recur, griffin]


def in_strides(layer, x: np.ndarray, **keywords) -> np.ndarray:
    state, out = None, []
    for begin in range(0, x.shape[1], STRIDE):
        y, state = layer(x[:, begin : begin + STRIDE], state, starts=NO_START if begin else START, **keywords)
        out.append(y)
    return np.concatenate(out, axis=1)


def dense(queries: np.ndarray, keys: np.ndarray, values: np.ndarray, visible: np.ndarray) -> np.ndarray:
    logits = np.einsum("bqhk,bthk->bhqt", queries, keys) / np.sqrt(SIZE)
    weights = np.where(visible, np.exp(logits), 0.0)
    weights = weights / np.maximum(weights.sum(-1, keepdims=True), 1e-300)
    return np.einsum("bhqt,bthk->bqhk", weights, values)


def one_run(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Queries, keys, values, the local attention over the whole run at once, and how many strides back each
    key is: [L, L].
    """
    queries, keys, values = (in_heads(x @ MEMORIZING[name], HEADS) for name in ("query", "key", "value"))
    position = np.arange(x.shape[1])
    back = position[:, None] // STRIDE - position // STRIDE
    local = dense(
        turned(queries, position),
        turned(keys, position),
        values,
        (position <= position[:, None]) & (back <= 1),
    )
    return queries, keys, values, local, back


def test_local_attention_is_that_of_the_model() -> None:
    rng = np.random.default_rng(0)
    q, k, v, before_k, before_v = (rng.normal(size=(ROWS, STRIDE, HEADS, SIZE)) for _ in range(5))
    attention = jax.jit(lambda q, k, v, past: sliding_window_attention(q, k, v, STRIDE, past=past))
    for exists in (False, True):
        past = Window(jnp.float32(before_k), jnp.float32(before_v), jnp.array(exists))
        ours = attention(jnp.float32(q), jnp.float32(k), jnp.float32(v), past)
        np.testing.assert_allclose(
            ours, local_attention(q, k, v, Past(before_k, before_v, np.full(ROWS, exists))), atol=2e-6
        )


@pytest.mark.parametrize("tokens", [24, 8, 6])
def test_memorizing_everything_chosen_is_dense_attention_over_the_memory(tokens: int) -> None:
    """Over one run of six strides, of which the memory holds all, two, or one and a half."""
    x = draw_x(6)
    queries, keys, values, local, back = one_run(x)
    position = np.arange(x.shape[1])
    stride_start = position[:, None] // STRIDE * STRIDE
    remembered = dense(queries, keys, values, (back >= 1) & (position >= stride_start - tokens))
    gate = 1 / (1 + np.exp(-MEMORIZING["gate"]))[:, None] * (stride_start > 0)[..., None]
    expected = ((1 - gate) * local + gate * remembered).reshape(x.shape) @ MEMORIZING["output"]
    np.testing.assert_allclose(in_strides(memorize, x, tokens=tokens), expected, atol=1e-12)


def test_memorizing_reads_the_highest_products_only() -> None:
    x, topk = draw_x(3), 3
    only_memory = MEMORIZING | {"gate": np.full(HEADS, 50.0), "output": np.eye(WIDTH)}
    out = in_heads(in_strides(memorize, x, topk=topk, parameters=only_memory), HEADS)
    queries, keys, values, _, _ = one_run(x)
    for row, token, head in np.ndindex(ROWS, STRIDE, HEADS):
        products = keys[row, : 2 * STRIDE, head] @ queries[row, 2 * STRIDE + token, head] / np.sqrt(SIZE)
        best = np.argsort(products)[-topk:]
        weights = np.exp(products[best])
        expected = weights @ values[row, best, head] / weights.sum()
        np.testing.assert_allclose(out[row, 2 * STRIDE + token, head], expected, atol=1e-12)


def test_block_recurrent_with_states_that_never_change_is_one_run() -> None:
    x = draw_x(4)
    parameters = (
        RECURRENT
        | {name: MEMORIZING[name] for name in ("query", "key", "value")}
        | {"gate": np.full(WIDTH, 50.0)}
    )
    _, _, _, local, _ = one_run(x)
    states = parameters["initial_state"] / np.sqrt(
        (parameters["initial_state"] ** 2).mean(-1, keepdims=True) + 1e-6
    )
    states = (states * parameters["state_norm"] + parameters["state_positions"])[None]
    queries, keys, values = (
        in_heads(of @ parameters[name], HEADS)
        for of, name in ((x, "state_query_of_tokens"), (states, "state_key"), (states, "state_value"))
    )
    read = dense(
        queries, np.repeat(keys, ROWS, 0), np.repeat(values, ROWS, 0), np.ones((x.shape[1], STATES), bool)
    )
    expected = np.concatenate((local.reshape(x.shape), read.reshape(x.shape)), axis=-1) @ parameters["output"]
    np.testing.assert_allclose(in_strides(recur, x, parameters=parameters), expected, atol=1e-12)


def test_block_recurrent_states_see_both_strides_without_order() -> None:
    x = draw_x(2)
    _, first = recur(x[:, :STRIDE])
    y, second = recur(x[:, STRIDE:], first, NO_START)
    mirrored, same = recur(x[:, : STRIDE - 1 : -1], first, NO_START)
    np.testing.assert_allclose(same.states_BND, second.states_BND, atol=1e-12)
    assert np.abs(mirrored[:, ::-1] - y).max() > 0.1
    other_past = first._replace(past=first.past._replace(values_BWHK=first.past.values_BWHK + 1.0))
    assert np.abs(recur(x[:, STRIDE:], other_past, NO_START)[1].states_BND - second.states_BND).max() > 0.01


def test_block_recurrent_states_are_one_gated_step() -> None:
    """In closed form where all states are alike and look at all tokens evenly."""
    x = draw_x(1)
    alike, nothing = np.repeat(RECURRENT["initial_state"][:1], STATES, axis=0), np.zeros((WIDTH, WIDTH))
    parameters = RECURRENT | {
        "initial_state": alike,
        "state_positions": nothing[:STATES],
        "state_cross_query": nothing,
    }
    normed = alike[0] / np.sqrt((alike[0] ** 2).mean() + 1e-6) * parameters["state_norm"]
    seen = np.concatenate(
        (
            np.repeat((normed @ parameters["state_value"])[None], ROWS, 0),
            (x @ parameters["value"]).mean(axis=1),
        ),
        axis=-1,
    )
    gate = 1 / (1 + np.exp(-parameters["gate"]))
    expected = gate * alike[0] + (1 - gate) * (seen @ parameters["state_output"])
    np.testing.assert_allclose(
        recur(x, parameters=parameters)[1].states_BND, np.repeat(expected[:, None], STATES, 1), atol=1e-12
    )


def test_griffin_in_segments_is_one_run() -> None:
    x = draw_x(3)
    np.testing.assert_allclose(in_strides(griffin, x), griffin(x)[0], atol=1e-14)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_document_starts_afresh_in_its_row_alone(layer) -> None:
    x = draw_x(3)
    state = layer(x[:, :STRIDE])[1]
    state = layer(x[:, STRIDE : 2 * STRIDE], state, NO_START)[1]
    y, reset = layer(x[:, 2 * STRIDE :], state, SECOND_ROW_STARTS)
    goes_on, _ = layer(x[:, 2 * STRIDE :], state, NO_START)
    fresh, fresh_state = layer(x[:, 2 * STRIDE :])
    np.testing.assert_array_equal(y[0], goes_on[0])
    np.testing.assert_array_equal(y[1], fresh[1])
    assert np.abs(y[0] - fresh[0]).max() > 0.01
    again, _ = layer(x[:, :STRIDE], reset, NO_START)
    np.testing.assert_allclose(again[1], layer(x[:, :STRIDE], fresh_state, NO_START)[0][1], atol=1e-14)


@pytest.mark.parametrize("layer", LAYERS)
def test_no_token_sees_a_later_one(layer) -> None:
    x = draw_x(3)
    changed = x.copy()
    changed[:, 6] += 1.0
    before, after = in_strides(layer, x), in_strides(layer, changed)
    np.testing.assert_array_equal(before[:, :6], after[:, :6])
    assert np.abs(before[:, 11] - after[:, 11]).max() > 1e-4
