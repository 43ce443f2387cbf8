import jax
import jax.numpy as jnp
import numpy as np
import pytest


@pytest.fixture(scope="module")
def gate(make_model):
    gate = make_model("rpt_sem").fusion.gate
    return jax.jit(lambda pooled, valid: gate(pooled, valid))


@pytest.fixture(scope="module")
def sequence():
    valid = jax.random.bernoulli(jax.random.key(1), 0.8, (1, 10, 2)).at[0, :2].set(False)
    return jax.random.normal(jax.random.key(0), (1, 10, 2, 16)), valid


def test_gates_lie_between_eta_and_one(gate, sequence) -> None:
    gates = gate(*sequence)
    assert jnp.all((gates >= 0.1) & (gates <= 1.0))
    assert jnp.std(gates) > 1e-3


def test_a_gate_depends_on_the_chunks_of_its_window_only(gate, sequence, small) -> None:
    """So a long document at evaluation gates as a training sequence does."""
    pooled, valid = sequence
    whole = gate(pooled, valid)
    for chunk in (3, 5, 9):
        first = chunk - small.gate_window + 1
        part = gate(pooled[:, first : chunk + 1], valid[:, first : chunk + 1])
        known = np.asarray(valid[0, chunk])
        np.testing.assert_allclose(part[0, -1, known], whole[0, chunk, known], atol=1e-6)


def test_a_gate_sees_earlier_and_higher_ranked_neighbours(gate, sequence) -> None:
    pooled, _ = sequence
    valid = jnp.ones((1, 10, 2), bool)
    change = jnp.abs(gate(pooled.at[0, 5, 0].add(3.0), valid) - gate(pooled, valid))[0]
    assert jnp.all(change[:5] == 0)
    assert jnp.all(jnp.any(change[5:8] > 0, axis=-1)), (
        "a saturated gate may hide one neighbour, never a whole chunk"
    )
    change = jnp.abs(gate(pooled.at[0, 5, 1].add(3.0), valid) - gate(pooled, valid))[0]
    assert change[5, 0] == 0


def test_an_absent_neighbour_is_not_seen(gate, sequence) -> None:
    pooled, _ = sequence
    valid = jnp.ones((1, 10, 2), bool).at[0, 5, 0].set(False)
    change = jnp.abs(gate(pooled.at[0, 5, 0].add(3.0), valid) - gate(pooled, valid))[0]
    assert jnp.all(change[6:] == 0)
    assert change[5, 1] == 0
