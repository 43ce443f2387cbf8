import jax
import jax.numpy as jnp
import numpy as np

from model.neighbour_fusion import FusedNeighbours


def test_a_chunk_without_neighbours_attends_to_the_null_key(official, official_model, quick_jit) -> None:
    attention = official_model.upper.layers[0].cross_attention
    fused = FusedNeighbours(jnp.ones((1, 2, 3, 32, 64)), jnp.zeros((1, 2, 3), bool))
    out = quick_jit(lambda x: attention(x, fused))(jax.random.normal(jax.random.key(0), (1, 32, 64)))
    expected = (
        official["upper.layers.0.cross_attention.attention.null_value"].reshape(-1)
        @ official["upper.layers.0.cross_attention.attention.output.kernel"]
    )
    np.testing.assert_allclose(out[0, 15:], np.broadcast_to(expected, (17, 64)), atol=1e-5)
