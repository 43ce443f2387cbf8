"""Layers that carry state against float64 restatements of their papers' equations: three segments, a document
starts in between.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.model.baselines.block_recurrent_numpy import block_recurrent_layer, fresh_recurrence
from tests.model.baselines.griffin_numpy import griffin_block, zero_recurrence
from tests.model.baselines.memorizing_numpy import empty_memory, memorizing_attention
from tests.model.baselines.segments import ours, theirs, wide


@pytest.mark.parametrize("name", ["memorizing_32k", "memorizing_65k"])
def test_memorizing(name, make_model, small, x):
    """The memory holds more than 128 tokens in neither case; that the search chooses is tested with a shorter
    one below.
    """
    layer = make_model(name, scale=3.0).upper.layers[0].attention
    layer.memory_bias[...] = jnp.array([-1.0, 0.5])
    out, state = ours(layer, x)
    weights = wide(
        **{part: getattr(layer, part).kernel for part in ("query", "key", "value", "output")},
        gate=layer.memory_bias,
    )
    memory = empty_memory(2, layer.capacity, layer.stride, small.heads, small.head_size)
    expected, end = theirs(
        lambda x, state, starts: memorizing_attention(weights, x, state, starts, 128), memory, x, layer.stride
    )
    np.testing.assert_allclose(out, expected, rtol=0, atol=2e-5)
    np.testing.assert_allclose(state.keys_BTHK[0, -48:], end.keys_BMHK[0, -48:], rtol=0, atol=2e-5)
    assert state.held_B.tolist() == end.filled_BM.sum(axis=1).tolist() == [48, 32]


def test_memorizing_when_the_search_has_to_choose(make_model, small, x, monkeypatch):
    monkeypatch.setattr("model.baselines.memorizing.RETRIEVED", 5)
    layer = make_model("memorizing_32k", scale=3.0).upper.layers[0].attention
    layer.capacity = 3 * layer.stride
    out, state = ours(layer, x)
    weights = wide(
        **{part: getattr(layer, part).kernel for part in ("query", "key", "value", "output")},
        gate=layer.memory_bias,
    )
    memory = empty_memory(2, layer.capacity, layer.stride, small.heads, small.head_size)
    expected, end = theirs(
        lambda x, state, starts: memorizing_attention(weights, x, state, starts, 5), memory, x, layer.stride
    )
    np.testing.assert_allclose(out, expected, rtol=0, atol=2e-5)
    assert state.held_B.tolist() == end.filled_BM.sum(axis=1).tolist() == [24, 24]


def test_block_recurrent(make_model, small, x):
    layer = make_model("block_recurrent", scale=3.0).upper.layers[0].attention
    layer.gate_bias[...] = jnp.linspace(-2, 2, small.width)
    out, state = ours(layer, x)
    names = (
        "query",
        "key",
        "value",
        "output",
        "state_key",
        "state_value",
        "state_self_query",
        "state_cross_query",
        "state_output",
    )
    weights = wide(
        **{name: getattr(layer, name).kernel for name in names},
        state_query_of_tokens=layer.state_query.kernel,
        state_norm=layer.state_norm.scale,
        state_positions=layer.state_positions,
        initial_state=layer.initial_state,
        gate=layer.gate_bias,
    )
    fresh = fresh_recurrence(weights, 2, layer.stride, small.heads)
    expected, end = theirs(
        lambda *arguments: block_recurrent_layer(weights, *arguments), fresh, x, layer.stride
    )
    np.testing.assert_allclose(out, expected, rtol=0, atol=2e-5)
    np.testing.assert_allclose(state.states_BND, end.states_BND, rtol=0, atol=2e-5)


def test_griffin(make_model, small, x):
    """Also against the published package: tests/model/test_reference_parity.py."""
    block = make_model("griffin", scale=3.0).upper.layers[0].recurrence
    out, state = ours(block, x)
    layers = {"y": block.branch, "x": block.input, "out": block.output, "input_gate": block.input_gate}
    layers["recurrence_gate"] = block.recurrence_gate
    weights = wide(
        **{
            f"{name}_{part}": getattr(layer, part)
            for name, layer in layers.items()
            for part in ("kernel", "bias")
        },
        conv_kernel=block.convolution,
        conv_bias=block.convolution_bias,
        decay=block.decay,
    )
    expected, end = theirs(
        lambda *arguments: griffin_block(weights, *arguments), zero_recurrence(weights, 2), x, 8
    )
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(state.hidden_BE, end.hidden_BR, rtol=0, atol=1e-5)


def test_the_gradient_goes_through_the_blocks_of_a_segment(make_model, x):
    """Block-Recurrent: the last stride of a segment teaches the first, which is out of its window, through
    the states.
    """
    layer = make_model("block_recurrent", scale=3.0).upper.layers[0].attention
    long = np.concatenate(x, axis=1)

    def last(x):
        return jnp.sum(layer(x)[0][:, -8:] ** 2)

    gradient = jax.jit(jax.grad(last))(long)
    assert np.abs(gradient[:, :8]).max() > 1e-6
