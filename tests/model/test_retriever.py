import jax
import numpy as np
from jax import Array

from model.initialisation import initial_parameters
from model.parameters import Architecture
from model.presets import SYSTEMS
from model.retriever import retrieval_scores
from model.rpt import RPT
from tests.model.programs import compiled
from tests.tiny import tiny_config


@compiled
def scores_of(model: RPT, tokens_BL: Array) -> Array:
    encoded = model.encode(tokens_BL)
    return retrieval_scores(encoded.queries_BCD, encoded.keys_BCD)


def test_scores_are_scaled_products() -> None:
    q, k = jax.random.normal(jax.random.key(0), (2, 1, 3, 16))
    np.testing.assert_allclose(retrieval_scores(q, k)[0], np.asarray(q[0]) @ np.asarray(k[0]).T / 4, atol=1e-5)


def test_one_that_begins_with_equal_projections_finds_the_chunk_with_the_same_tokens() -> None:
    """And two drawn apart find it by chance, one time in eight."""
    tokens = np.random.default_rng(0).integers(0, 256, (40, 16, 16)).astype(np.int32)
    same = np.arange(40) % 8
    tokens[:, 12] = tokens[np.arange(40), same]
    found = {}
    for equal in (True, False):
        config = tiny_config(vocabulary_size=256, width=64, chunk_tokens=16, zero_init_residuals=True, equal_projections=equal)
        architecture = Architecture.of(SYSTEMS["rpt_sem"].build, config)
        scores = np.asarray(scores_of(architecture.model(initial_parameters(architecture, config, 0)), tokens.reshape(40, -1)))
        found[equal] = (scores[:, 12, :8].argmax(axis=1) == same).mean()
    assert found[True] > 0.8, found
    assert found[False] < 0.4, found
