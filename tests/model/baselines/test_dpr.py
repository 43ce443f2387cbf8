"""The dense retriever: its loss against one written with NumPy in float64, who sees whom inside an encoder,
and how both begin.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.baselines.dpr import (
    ChunkEncoder,
    DualEncoder,
    EncoderConfig,
    accuracy,
    dpr_loss,
    first_parameters,
    in_batch_scores,
)
from model.parameters import Architecture
from tests.model.programs import compiled

CONFIG = EncoderConfig(vocabulary_size=50, width=16, layers=2, heads=2)
RNG = np.random.default_rng(0)
QUERIES, PASSAGES = RNG.normal(size=(4, 6)), RNG.normal(size=(8, 6))
DIFFERENT = np.arange(8)
TWICE = np.array([0, 1, 2, 0, 4, 5, 1, 7])
"""Passage 3 says what 0 says, 6 what 1 says."""


def by_hand(queries: np.ndarray, passages: np.ndarray, names: np.ndarray) -> float:
    """Equation 2, one query after the other, without the passages that repeat its positive."""
    losses = []
    for query, vector in enumerate(queries):
        kept = [p for p in range(len(passages)) if p == query or names[p] != names[query]]
        weights = {p: np.exp(vector @ passages[p]) for p in kept}
        losses.append(-np.log(weights[query] / sum(weights.values())))
    return float(np.mean(losses))


@jax.jit
def loss(queries, passages, names):
    return dpr_loss(in_batch_scores(queries, passages, names))


@pytest.mark.parametrize("names", [DIFFERENT, TWICE])
def test_the_loss_and_its_gradient_are_those_by_hand(names):
    with jax.enable_x64(True):
        assert float(loss(QUERIES, PASSAGES, names)) == pytest.approx(
            by_hand(QUERIES, PASSAGES, names), rel=1e-12
        )
        gradients = jax.tree.map(
            np.asarray, jax.jit(jax.grad(loss, argnums=(0, 1)))(QUERIES, PASSAGES, names)
        )
    for number, (array, gradient) in enumerate(zip((QUERIES, PASSAGES), gradients, strict=True)):
        for place in np.ndindex(array.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [QUERIES.copy(), PASSAGES.copy()]
                moved[number][place] += step
                ends.append(by_hand(*moved, names))
            assert float(gradient[place]) == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-8)


def test_a_repeated_positive_is_no_negative():
    assert float(loss(QUERIES, PASSAGES, TWICE)) < float(loss(QUERIES, PASSAGES, DIFFERENT))
    queries, passages = np.ones((2, 3)), np.ones((4, 3))
    assert float(loss(queries, passages, np.array([0, 0, 1, 1]))) == pytest.approx(np.log(3))
    assert float(loss(queries, passages, np.zeros(4, int))) == 0.0


def test_accuracy_counts_positives_that_come_first():
    assert float(accuracy(jnp.array([[2.0, 1.0, 0.0], [0.0, 1.0, 3.0]]))) == 0.5


@pytest.fixture(scope="module")
def encoder() -> ChunkEncoder:
    architecture = Architecture.of(partial(DualEncoder, ChunkEncoder), CONFIG)
    parameters = first_parameters(CONFIG, 0)
    assert parameters.keys() == architecture.parameter_sizes().keys()
    return architecture.model(parameters).query


@compiled
def jacobian(encoder: ChunkEncoder, tokens_XM: jax.Array) -> jax.Array:
    """Of the sums of states with respect to embedded tokens."""

    def sums(embedded_XMD: jax.Array) -> jax.Array:
        for layer in encoder.layers:
            embedded_XMD = layer(embedded_XMD)
        return embedded_XMD.sum(-1)

    return jax.jacobian(sums)(encoder.embedding(tokens_XM))


def test_a_token_sees_its_whole_chunk_and_no_other(encoder):
    seen = np.abs(jacobian(encoder, RNG.integers(0, 50, (2, 8)))).max(-1)
    assert (seen[0, :, 0] > 0).all()
    assert (seen[1, :, 1] > 0).all()
    assert not seen[0, :, 1].any()
    assert not seen[1, :, 0].any()


def test_both_encoders_begin_alike_and_order_counts(encoder):
    parameters = first_parameters(CONFIG, 3)
    for path, value in parameters.items():
        side, _, rest = path.partition(".")
        assert jnp.array_equal(value, parameters[f"{'passage' if side == 'query' else 'query'}.{rest}"])
    chunk = RNG.permutation(50)[:8]
    there, back = np.asarray(
        compiled(lambda encoder, chunks: encoder(chunks))(encoder, np.stack((chunk, chunk[::-1])))
    )
    assert np.abs(there - back).max() > 1e-3
