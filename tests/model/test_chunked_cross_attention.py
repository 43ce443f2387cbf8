import jax
import jax.numpy as jnp
import numpy as np

from model.neighbour_fusion import FusedNeighbours


def test_output_is_the_official_one(official, official_model, quick_jit) -> None:
    """Two chunks of which the first has neighbours; what they serve is the last token of that chunk and all but the last of the next."""
    cross_attention = official_model.upper.layers[0].cross_attention
    values = jnp.asarray(official["cross_attention.neighbours_NRD"])
    fused = FusedNeighbours(jnp.stack((values, jnp.zeros_like(values)))[None], jnp.array([[[True, True], [False, False]]]))
    out = quick_jit(lambda x: cross_attention(x, fused))(jnp.asarray(official["cross_attention.normed_LD"])[None])
    np.testing.assert_allclose(out[0, 15:31], official["cross_attention.out_MD"], atol=1e-5)
    np.testing.assert_array_equal(out[0, :15], 0.0)


def test_a_chunk_without_neighbours_attends_to_the_null_key(official, official_model, quick_jit) -> None:
    attention = official_model.upper.layers[0].cross_attention
    fused = FusedNeighbours(jnp.ones((1, 2, 3, 32, 64)), jnp.zeros((1, 2, 3), bool))
    out = quick_jit(lambda x: attention(x, fused))(jax.random.normal(jax.random.key(0), (1, 32, 64)))
    expected = official["cross_attention.attention.null_value"].reshape(-1) @ official["cross_attention.attention.output.kernel"]
    np.testing.assert_allclose(out[0, 15:], np.broadcast_to(expected, (17, 64)), atol=1e-5)
