"""The published form of Memorizing and Block-Recurrent against float64 restatements, and how it is
trained.
"""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.baselines.official_decoder import distance_bucket
from model.baselines.official_training import adafactor
from model.parameters import Architecture
from model.registry import PAPER_CONFIG, SYSTEMS
from tests.model.baselines.official_numpy import Kept, block_recurrent, bucket, local, memorizing
from tests.model.baselines.segments import ours, theirs, wide
from tests.model.programs import compiled
from tests.tiny import tiny_config

NO_STATES = np.zeros((1, 1))


def kept(layer, small, slots: int = 1, states=NO_STATES) -> Kept:
    """What two documents start with."""
    window, memory = (np.zeros((2, length, small.heads, small.head_size)) for length in (layer.stride, slots))
    return Kept(window, window, memory, memory, np.zeros(2), np.repeat(states[None], 2, axis=0))


def test_distances_share_buckets_as_in_t5():
    distances = np.arange(1, 3000)
    assert distance_bucket(distances).tolist() == [bucket(distance) for distance in distances.tolist()]
    assert distance_bucket(np.array([-5, 0, 15, 16, 17, 18, 20, 127, 128, 5000])).tolist() == [
        0,
        0,
        15,
        16,
        16,
        16,
        17,
        31,
        31,
        31,
    ]


def test_local_attention(make_model, small, x):
    """Two segments, of which the second goes on from the first."""
    layer = make_model("transformer_xl_official", scale=3.0).lower.layers[0].attention
    layer.scale[...] = jnp.array([3.0, -2.0])
    out, _ = ours(layer, x)
    names = ("query", "key", "value", "output")
    weights = wide(
        **{name: getattr(layer, name).kernel for name in names},
        scale=layer.scale,
        table=layer.distances.table,
    )

    def step(x, state, starts):
        state = state.started_anew(starts, 0.0)
        queries, keys, values = (
            np.reshape(x @ weights[name], (*x.shape[:2], small.heads, -1)) for name in names[:3]
        )
        queries, keys = (y / np.sqrt((y**2).sum(-1, keepdims=True) + 1e-6) for y in (queries, keys))
        mixed = local(queries, keys, values, state, weights["scale"], weights["table"])
        return mixed.reshape(x.shape) @ weights["output"], state._replace(keys=keys, values=values)

    expected, _ = theirs(step, kept(layer, small), x, layer.stride)
    np.testing.assert_allclose(out, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "slots", "buckets"), [("memorizing_32k_official", 256, 128), ("memorizing_65k_official", 24, 6)]
)
def test_memorizing(name, slots, buckets, make_model, small, x, monkeypatch):
    """Once with room for all, where most buckets hold nothing, and once so small that the oldest is written
    over.
    """
    monkeypatch.setattr("model.baselines.memorizing.RETRIEVED", buckets)
    layer = make_model(name, scale=3.0).upper.layers[0].attention
    layer.capacity = slots
    layer.memory_bias[...], layer.scale[...] = jnp.array([-1.0, 0.5]), jnp.array([3.0, -2.0])
    out, _ = ours(layer, x)
    weights = wide(
        **{part: getattr(layer, part).kernel for part in ("query", "key", "value", "output")},
        gate=layer.memory_bias,
    )
    weights |= wide(scale=layer.scale)
    start = kept(layer, small, slots)
    expected, _ = theirs(lambda *arguments: memorizing(weights, *arguments, buckets), start, x, layer.stride)
    np.testing.assert_allclose(out, expected, rtol=0, atol=2e-5)


def test_block_recurrent(make_model, small, x):
    layer = make_model("block_recurrent_official", scale=3.0).upper.layers[0].attention
    layer.gate_bias[...] = jnp.linspace(-2, 2, small.width)
    scales = ("scale", "state_scale", "state_self_scale", "state_cross_scale")
    for number, name in enumerate(scales):
        getattr(layer, name)[...] = jnp.array([1.0 + number, -3.0 + number / 2])
    out, state = ours(layer, x)
    kernels = (
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
        **{name: getattr(layer, name).kernel for name in (*kernels, "state_query")},
        **{name: getattr(layer, name) for name in (*scales, "initial_state", "state_positions")},
        gate=layer.gate_bias,
        state_norm=layer.state_norm.scale,
        table=layer.distances.table,
    )
    start = kept(layer, small, states=weights["initial_state"])
    expected, end = theirs(lambda *arguments: block_recurrent(weights, *arguments), start, x, layer.stride)
    np.testing.assert_allclose(out, expected, rtol=0, atol=2e-5)
    np.testing.assert_allclose(state.states_BND, end.states, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("transformer_xl_official", 202_483_808),
        ("memorizing_32k_official", 202_483_560),
        ("block_recurrent_official", 211_923_064),
    ],
)
def test_parameters_with_the_vocabulary_that_they_are_published_with(name, count):
    """The official code's own counts: 12 layers of 8 scales, and 8 x 32 biases in each but the one with a
    memory, which has 8 gates.
    """
    sizes = Architecture.of(
        SYSTEMS[name].build, replace(PAPER_CONFIG, vocabulary_size=50_254)
    ).parameter_sizes()
    assert sum(map(math.prod, sizes.values())) == count


@pytest.fixture(scope="module")
def first_values(architecture_of):
    system, config = SYSTEMS["block_recurrent_official"], tiny_config(layers=4, width=64, cca_layers=(3, 4))
    return jax.jit(lambda: system.first_values(architecture_of(system.name, config), config, 0))()


@pytest.mark.parametrize(
    ("path", "deviation"),
    [
        ("embedding.table", 1.0),
        ("lower.layers.0.attention.distances.table", 32**-0.5),
        ("lower.layers.1.attention.query.kernel", 64**-0.5),
        ("lower.layers.0.feed_forward.contract.kernel", 256**-0.5),
        ("upper.layers.0.attention.output.kernel", 128**-0.5),
        ("upper.layers.0.attention.initial_state", 0.1),
        ("upper.layers.0.attention.state_positions", 1.0),
    ],
)
def test_first_values(first_values, path, deviation):
    assert np.std(first_values[path]) == pytest.approx(deviation, rel=0.15)


def test_first_values_that_are_not_drawn(first_values):
    assert (first_values["upper.layers.0.attention.state_cross_scale"] == 1).all()
    assert (first_values["final_norm.scale"] == 1).all()


def test_logits_are_over_the_root_of_the_width(make_model, small):
    model, rng = make_model("transformer_xl_official", scale=1.0), np.random.default_rng(0)
    final, targets = rng.normal(size=(1, 5, small.width)).astype(np.float32), np.array([[3, 1, 4, 1, 5]])
    logits = (
        final[0].astype(np.float64)
        @ np.asarray(model.embedding.table[...], np.float64).T
        / math.sqrt(small.width)
    )
    expected = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(5), targets[0]]
    losses = compiled(lambda model, final, targets: model.token_losses(final, targets))(model, final, targets)
    np.testing.assert_allclose(losses[0], expected, rtol=0, atol=1e-5)


def test_steps_are_relative_to_the_parameter():
    """With one gradient everywhere, the first step is the rate times a tenth (momentum) times the root mean
    square, at least 0.001.
    """
    optimizer, parameters = adafactor(0.01), {"large": jnp.full(4, 5.0), "zero": jnp.zeros(4)}
    gradients = {name: jnp.full(4, 0.3) for name in parameters}
    updates, _ = jax.jit(
        lambda gradients, parameters: optimizer.update(gradients, optimizer.init(parameters), parameters)
    )(gradients, parameters)
    np.testing.assert_allclose(updates["large"], -0.01 * 0.1 * 5.0, rtol=1e-5)
    np.testing.assert_allclose(updates["zero"], -0.01 * 0.1 * 1e-3, rtol=1e-5)
