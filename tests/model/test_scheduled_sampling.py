import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.scheduled_sampling import draw_by_batch, draw_by_chunk, draw_by_sequence, mix

KEY = jax.random.key(1)
ROWS, CHUNKS = 3, 1000
GOLD, OWN = jnp.zeros((ROWS, CHUNKS, 1), int), jnp.ones((ROWS, CHUNKS, 1), int)
LABELLED = jnp.ones((ROWS, CHUNKS), bool).at[:, ::2].set(False)
SHARED = {draw_by_chunk: (ROWS, CHUNKS), draw_by_sequence: (ROWS, 1), draw_by_batch: (1, 1)}


@pytest.mark.parametrize("draw", SHARED)
def test_what_a_draw_decides(draw) -> None:
    """One for all it serves; unlabelled chunks read their own always; at probability 0 and 1 nothing is left
    to chance.
    """
    assert draw(KEY, ROWS, CHUNKS).shape == SHARED[draw]
    mixed = np.asarray(mix(draw(KEY, ROWS, CHUNKS), GOLD, OWN, 0.3, LABELLED))[..., 0]
    assert np.all(mixed[:, ::2] == 1)
    served = np.broadcast_to(draw(KEY, ROWS, CHUNKS), (ROWS, CHUNKS))[:, 1::2]
    np.testing.assert_array_equal(mixed[:, 1::2] == 0, served >= 0.3)
    assert jnp.all(mix(draw(KEY, ROWS, CHUNKS), GOLD, OWN, 0.0, LABELLED)[:, 1::2] == 0)
    assert jnp.all(mix(draw(KEY, ROWS, CHUNKS), GOLD, OWN, 1.0, LABELLED) == 1)


@pytest.mark.parametrize("draw", SHARED)
def test_draws_are_uniform_over_the_steps(draw) -> None:
    draws = jax.jit(jax.vmap(lambda step: draw(jax.random.fold_in(KEY, step), ROWS, 4)))(np.arange(300))
    assert abs(np.mean(draws < 0.3) - 0.3) < 0.08
    assert draw(KEY, ROWS, CHUNKS).tolist() == draw(KEY, ROWS, CHUNKS).tolist()


def test_chunks_and_sequences_differ() -> None:
    by_chunk, by_sequence = draw_by_chunk(KEY, ROWS, CHUNKS), draw_by_sequence(KEY, ROWS, CHUNKS)
    assert len(np.unique(by_chunk)) > 0.99 * by_chunk.size
    assert len(np.unique(by_sequence)) == ROWS


@pytest.mark.parametrize("draw", SHARED)
def test_a_draw_does_not_depend_on_how_many_sequences_a_device_holds(draw) -> None:
    np.testing.assert_array_equal(draw(KEY, 2, CHUNKS), draw(KEY, ROWS, CHUNKS)[:2])
