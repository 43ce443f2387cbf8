from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.initialisation import initial_parameters
from model.language_model import LanguageModel, Schedule
from model.lexical_start import NEARNESS, SATURATION
from model.parameters import Architecture, Parameters
from model.registry import SYSTEMS
from model.retrieval_index import RetrievalIndex
from model.retriever import retrieval_scores
from tests.tiny import tiny_config

CONFIG = tiny_config(vocabulary_size=1100, lexical_start=True)
CHUNKS = 10


@pytest.fixture(scope="module")
def first_values() -> Parameters:
    return initial_parameters(Architecture.of(SYSTEMS["rpt_sem"].build, CONFIG), CONFIG, 0)


def model_of(values: Parameters) -> LanguageModel:
    return Architecture.of(SYSTEMS["rpt_sem"].build, CONFIG).model(values)


def by_hand(tokens_CM: np.ndarray, weight: dict[int, float], nearness: float) -> np.ndarray:
    """Scores of all pairs of chunks, one term of one pair after the other."""
    counts = [Counter(int(token) % 1024 for token in chunk) for chunk in tokens_CM]
    scores = np.zeros((len(counts), len(counts)))
    for i, query in enumerate(counts):
        for j, chunk in enumerate(counts):
            x = [
                [(SATURATION + 1) * n[term] / (n[term] + SATURATION) for term in query]
                for n in (query, chunk)
            ]
            scores[i, j] = (
                sum(weight.get(term, 1.0) ** 2 * a * b for term, a, b in zip(query, *x, strict=True))
                + nearness * j
            )
    return scores


def test_scores_begin_as_shared_tokens_and_nearness(first_values: Parameters) -> None:
    """Whatever the states are; 1,030 and 6 are one term, 7 counts as its weight says."""
    tokens = np.random.default_rng(0).integers(0, 12, (1, CHUNKS * CONFIG.chunk_tokens)).astype(np.int32)
    tokens[0, 2] = 1030
    scale = first_values["retriever.lexical.term_scale"].at[7].set(3.0)
    values = {
        **first_values,
        "retriever.lexical.term_scale": scale,
        "retriever.lexical.nearness_scale": jnp.array([2.0]),
    }
    encoded = model_of(values).encode(jnp.asarray(tokens))
    scores = retrieval_scores(encoded.queries_BCE, encoded.keys_BCE, CONFIG.width)
    np.testing.assert_allclose(
        scores[0], by_hand(tokens.reshape(CHUNKS, -1), {7: 3.0}, 2 * NEARNESS), rtol=1e-5
    )


def test_a_document_read_by_strides_is_ranked_as_a_whole_one(first_values: Parameters, tmp_path) -> None:
    """Chunks are numbered from the start of the document there too, with learned projections beside them."""
    values = {
        **first_values,
        "retriever.key_projection.kernel": jax.random.normal(jax.random.key(1), (CONFIG.width, CONFIG.width)),
    }
    model = model_of(values)
    tokens = jnp.asarray(
        np.random.default_rng(1).integers(0, 12, (1, CHUNKS * CONFIG.chunk_tokens)), jnp.int32
    )
    whole = model.encode(tokens)
    expected = np.asarray(retrieval_scores(whole.queries_BCE, whole.keys_BCE, CONFIG.width))[0]
    memory, past, seen = RetrievalIndex(CONFIG, CHUNKS, tmp_path), model.start_encoding(1), 0
    for first in range(0, CHUNKS, CONFIG.stride_chunks):
        stride = tokens[:, first * CONFIG.chunk_tokens : (first + CONFIG.stride_chunks) * CONFIG.chunk_tokens]
        encoded, past = model.encode_segment(stride, past)
        memory.add(np.asarray(encoded.keys_BCE[0]), np.asarray(encoded.chunks_BCMD[0]))
        ids, scores = memory.search(first, np.asarray(encoded.queries_BCE[0]), CHUNKS)
        near, near_scores = memory.search_within(first, np.asarray(encoded.queries_BCE[0]), CHUNKS, CHUNKS)
        np.testing.assert_array_equal(near, ids)
        for row in range(CONFIG.stride_chunks):
            found = ids[row][ids[row] >= 0]
            seen += len(found)
            for values_found in (scores[row], near_scores[row]):
                np.testing.assert_allclose(
                    values_found[: len(found)], expected[first + row][found], rtol=1e-4, atol=1e-4
                )
    assert seen == 2 * (1 + 3 + 5)  # what is eligible for chunks 4 to 9, strides of two


def test_only_the_ranking_loss_teaches_weights_and_nearness(first_values: Parameters, make_batch) -> None:
    batch = make_batch()
    losses = jax.jacrev(
        lambda values: model_of(values).train_losses(batch, Schedule(4.0, 1.0, 0.5), jax.random.key(0))[0]
    )
    gradients = jax.jit(losses)(first_values)
    for path in (
        "retriever.lexical.term_scale",
        "retriever.lexical.nearness_scale",
        "retriever.key_projection.kernel",
    ):
        assert np.any(gradients["ranking"][path]), path
        assert not np.any(gradients["lm"][path]), path
