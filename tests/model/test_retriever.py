import jax
import numpy as np

from model.retriever import retrieval_scores


def test_scores_are_scaled_products() -> None:
    q, k = jax.random.normal(jax.random.key(0), (2, 1, 3, 16))
    np.testing.assert_allclose(
        retrieval_scores(q, k, 16)[0], np.asarray(q[0]) @ np.asarray(k[0]).T / 4, atol=1e-5
    )
    np.testing.assert_allclose(
        retrieval_scores(q, k, 4)[0], np.asarray(q[0]) @ np.asarray(k[0]).T / 2, atol=1e-5
    )
