import jax
import jax.numpy as jnp
import numpy as np

from model.retriever import retrieval_scores


def test_encoding_and_projections_are_the_official_ones(official, official_model, quick_jit) -> None:
    out = quick_jit(lambda h: official_model.retriever(h))(jnp.asarray(official["hidden_CMD"])[None])
    np.testing.assert_allclose(out.queries_BCD[0], official["retriever.queries_CD"], atol=1e-5)
    np.testing.assert_allclose(out.keys_BCD[0], official["retriever.keys_CD"], atol=1e-5)


def test_scores_are_scaled_products() -> None:
    q, k = jax.random.normal(jax.random.key(0), (2, 1, 3, 16))
    np.testing.assert_allclose(retrieval_scores(q, k)[0], np.asarray(q[0]) @ np.asarray(k[0]).T / 4, atol=1e-5)
