"""Against published packages that none of us wrote: RETRO-pytorch 0.3.9 and recurrentgemma 1.0.1, each at
seed 0; transformers 5.24.0.

Their numbers are committed in goldens/; tests/parity/regenerate.py says how they were made and makes them
again.
"""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from model.baselines.griffin import RecurrentBlock
from model.baselines.official_decoder import distance_bucket
from model.chunked_cross_attention import ChunkedCrossAttention
from model.config import ModelConfig
from model.decoder import restart
from model.neighbour_fusion import FusedNeighbours
from tests.model.baselines.griffin_numpy import griffin_block, zero_recurrence
from tests.model.baselines.numpy_attention import rms_normed

Arrays = dict[str, np.ndarray]
CHUNK, HEADS, SECOND_DOCUMENT = 8, 2, 10


def golden(name: str) -> Arrays:
    with np.load(Path(__file__).parent / "goldens" / f"{name}.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def retro() -> Arrays:
    return golden("chunked_cross_attention")


@pytest.fixture(scope="module")
def griffin() -> Arrays:
    return {name: value.astype(np.float64) for name, value in golden("griffin").items()}


def with_neighbouring_pairs(features: np.ndarray) -> np.ndarray:
    """The order of our rotary embedding, (x0, x1), (x2, x3), ..., from theirs, (x0, x[K/2]), (x1, x[K/2 +
    1]), ... of each head.
    """
    halves = features.reshape(*features.shape[:-1], HEADS, 2, -1)
    return np.swapaxes(halves, -1, -2).reshape(features.shape)


@pytest.fixture(scope="module")
def cross_attention(retro: Arrays, small: ModelConfig) -> ChunkedCrossAttention:
    module = ChunkedCrossAttention(replace(small, width=32, heads=HEADS, chunk_tokens=CHUNK))
    attention = module.attention
    attention.query.kernel = nnx.Param(jnp.asarray(with_neighbouring_pairs(retro["query"])))
    attention.key.kernel = nnx.Param(jnp.asarray(with_neighbouring_pairs(retro["key"])))
    attention.value.kernel = nnx.Param(jnp.asarray(retro["value"]))
    attention.output.kernel = nnx.Param(jnp.asarray(retro["output"]))
    attention.null_key = nnx.Param(jnp.asarray(with_neighbouring_pairs(retro["null_key"]).reshape(HEADS, -1)))
    attention.null_value = nnx.Param(jnp.asarray(retro["null_value"].reshape(HEADS, -1)))
    return module


def test_chunked_cross_attention(retro: Arrays, cross_attention: ChunkedCrossAttention) -> None:
    """Missing neighbours and chunks without any included; both leave out the first M - 1 tokens."""
    fused = FusedNeighbours(retro["neighbours_BCNRD"], retro["valid_BCN"])
    assert not retro["valid_BCN"][0, 1].any()
    out = jax.jit(lambda x: cross_attention(x, fused))(retro["x_BLD"])
    np.testing.assert_allclose(out, retro["out_BLD"], rtol=0, atol=2e-6)
    np.testing.assert_array_equal(out[:, : CHUNK - 1], retro["out_BLD"][:, : CHUNK - 1])


def test_chunked_cross_attention_of_a_later_segment(
    retro: Arrays, cross_attention: ChunkedCrossAttention
) -> None:
    fused = FusedNeighbours(retro["neighbours_BCNRD"][:, 1:], retro["valid_BCN"][:, 1:])
    out = jax.jit(lambda x: cross_attention(x, fused, begun=jnp.ones(len(x), bool)))(
        retro["x_BLD"][:, 2 * CHUNK :]
    )
    np.testing.assert_allclose(out, retro["out_BLD"][:, 2 * CHUNK :], rtol=0, atol=2e-6)


def griffin_in_segments(
    griffin: Arrays, borders: tuple[int, ...], x_BLD: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The restatement over segments; a document may begin at the first token of one. The output, hidden state
    and inputs kept.
    """
    state, out = zero_recurrence(griffin, len(x_BLD)), []
    for begin, end in pairwise(borders):
        y, state = griffin_block(griffin, x_BLD[:, begin:end], state, griffin["positions_BL"][:, begin] == 0)
        out.append(y)
    return np.concatenate(out, axis=1), state.hidden_BR, state.inputs_BTR


@pytest.mark.parametrize("borders", [(0, SECOND_DOCUMENT, 24), (0, 1, 4, SECOND_DOCUMENT, 11, 23, 24)])
def test_griffin_restatement(griffin: Arrays, borders: tuple[int, ...]) -> None:
    """In one call and token by token, with a document that begins in the middle of the second row."""
    np.testing.assert_array_equal(
        np.argwhere(griffin["positions_BL"] == 0), [(0, 0), (1, 0), (1, SECOND_DOCUMENT)]
    )
    out, hidden_BR, inputs_BTR = griffin_in_segments(griffin, borders, griffin["x_BLD"])
    np.testing.assert_allclose(out, griffin["out_BLD"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(out, griffin["stepped_out_BLD"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(hidden_BR, griffin["hidden_BR"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(inputs_BTR, griffin["inputs_BTR"], rtol=0, atol=1e-6)


def test_griffin_block(griffin: Arrays, small: ModelConfig) -> None:
    """Ours in one call to the second document and one after it, and with a reset there."""
    heads, width = len(griffin["input_gate_kernel"]), griffin["x_kernel"].shape[0]
    block = RecurrentBlock(replace(small, width=width, heads=heads))

    def given(name: str) -> nnx.Param:
        value = griffin[name]
        return nnx.Param(jnp.asarray(value.ravel() if name.endswith("gate_bias") else value, jnp.float32))

    layers = {"y": block.branch, "x": block.input, "out": block.output}
    for name, layer in (
        layers | {"input_gate": block.input_gate, "recurrence_gate": block.recurrence_gate}
    ).items():
        layer.kernel, layer.bias = given(f"{name}_kernel"), given(f"{name}_bias")
    block.convolution, block.convolution_bias, block.decay = (
        given("conv_kernel"),
        given("conv_bias"),
        given("decay"),
    )
    x_BLD, start = griffin["x_BLD"].astype(np.float32), block.start(2)
    run = jax.jit(lambda x, past: block(x, past))
    first, state = run(x_BLD[:, :SECOND_DOCUMENT], start)
    second, end = run(x_BLD[:, SECOND_DOCUMENT:], restart(state, start, jnp.array([False, True])))
    np.testing.assert_allclose(
        jnp.concatenate((first, second), axis=1), griffin["out_BLD"], rtol=0, atol=1e-6
    )
    np.testing.assert_allclose(end.hidden_BE, griffin["hidden_BR"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(end.inputs_BTE, griffin["inputs_BTR"], rtol=0, atol=1e-6)


def test_griffin_restatement_as_a_residual_layer(griffin: Arrays) -> None:
    normed = rms_normed(griffin["x_BLD"], griffin["norm_scale"])
    out, _, _ = griffin_in_segments(griffin, (0, SECOND_DOCUMENT, 24), normed)
    np.testing.assert_allclose(griffin["x_BLD"] + out, griffin["residual_out_BLD"], rtol=0, atol=3e-6)


def test_distance_buckets_of_t5() -> None:
    known = golden("distance_buckets")
    np.testing.assert_array_equal(distance_bucket(known["distances"]), known["buckets"])
