import jax
import jax.numpy as jnp
import numpy as np

from model.neighbour_fusion import FusedNeighbours


def test_a_chunk_without_neighbours_attends_to_the_null_key(official, official_model) -> None:
    attention = official_model.upper.layers[0].cross_attention
    fused = FusedNeighbours(jnp.ones((1, 2, 3, 32, 64)), jnp.zeros((1, 2, 3), bool))
    out = jax.jit(lambda x: attention(x, fused))(jax.random.normal(jax.random.key(0), (1, 32, 64)))
    expected = (
        official["upper.layers.0.cross_attention.attention.null_value"].reshape(-1)
        @ official["upper.layers.0.cross_attention.attention.output.kernel"]
    )
    np.testing.assert_allclose(out[0, 15:], np.broadcast_to(expected, (17, 64)), atol=1e-5)


def test_leaving_out_chunks_before_the_first_neighbours_changes_nothing(make_model, small) -> None:
    attention = make_model("retro", small).upper.layers[0].cross_attention
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 48, 16)).astype(np.float32)
    values = rng.normal(size=(2, 12, 2, 8, 16)).astype(np.float32)
    valid = np.broadcast_to(np.arange(12)[None, :, None] >= 4, (2, 12, 2))
    run = jax.jit(lambda x, values, valid: attention(x, FusedNeighbours(values, valid)))
    np.testing.assert_allclose(
        run(x, values[:, 4:], valid[:, 4:]), run(x, values, valid), rtol=1e-5, atol=1e-5
    )
