"""A retriever that weighs features of pairs: the features by hand, what may be seen, whole against strides,
and what is learned.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_contracts.eligibility import is_eligible
from model.initialisation import initial_parameters
from model.language_model import LanguageModel, Schedule
from model.pair_features import LONGEST, UNITS, pair_features
from model.parameters import Architecture, Parameters
from model.registry import SYSTEMS
from model.retrieval_index import RetrievalIndex
from model.retriever import chunk_scores
from tests.tiny import tiny_config

CONFIG = tiny_config(lexical_start=True)  # which the system replaces
OURS = CONFIG.with_pair_features()
CHUNKS, SIZE = 10, CONFIG.chunk_tokens
WEIGHTS = "retriever.pairs.pair_weights"


@pytest.fixture(scope="module")
def first_values() -> Parameters:
    return initial_parameters(Architecture.of(SYSTEMS["rpt_sem_features"].build, CONFIG), CONFIG, 0)


@pytest.fixture(scope="module")
def learned(first_values: Parameters) -> Parameters:
    """Values in which every weight and the projections count."""
    draw = np.random.default_rng(3).normal
    kernel = "retriever.key_projection.kernel"
    return first_values | {
        WEIGHTS: jnp.asarray(draw(size=len(UNITS)), jnp.float32),
        kernel: jnp.asarray(0.3 * draw(size=first_values[kernel].shape), jnp.float32),
    }


def model_of(values: Parameters, system: str = "rpt_sem_features") -> LanguageModel:
    return Architecture.of(SYSTEMS[system].build, CONFIG).model(values)


def text_of(seed: int, chunks: int = CHUNKS, size: int = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, (chunks, size)).astype(np.int32)


def by_hand(text_CM: np.ndarray, i: int, j: int) -> list[float]:
    """The features of a pair, token by token, of lists."""
    size, text, query = text_CM.shape[1], text_CM.ravel().tolist(), text_CM[i].tolist()

    def share(length: int, chunk: int) -> float:
        ends = range(chunk * size, (chunk + 1) * size)
        runs = {tuple(text[end - length + 1 : end + 1]) for end in ends if end >= length - 1}
        places = range(length - 1, size)
        return sum(tuple(query[end - length + 1 : end + 1]) in runs for end in places) / size

    def stands(end: int) -> int:
        known = [n for n in range(1, min(LONGEST, size) + 1) if end + 1 >= n]
        return max((n for n in known if text[end - n + 1 : end + 1] == query[size - n :]), default=0)

    longest = max(stands(end) for end in range(j * size, (j + 2) * size - 1))
    shares = [share(length, chunk) for length in (1, 2, 3) for chunk in (j, j + 1)]
    return [*shares, longest, float(np.log(max(i - j, 1)))]


def eligible_pairs_of(chunks: int) -> list[tuple[int, int]]:
    every = [(i, j) for i in range(chunks) for j in range(chunks)]
    return [(i, j) for i, j in every if is_eligible(i, j, CONFIG.stride_chunks)]


@pytest.mark.parametrize("size", [4, 12])
@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
def test_features_are_those_by_hand(array, size: int) -> None:
    text, pairs = text_of(0, size=size), eligible_pairs_of(CHUNKS)
    longest = 0.0
    for i, j in pairs:
        found = pair_features(array(text[i]), array(text), i - np.arange(CHUNKS - 1))[j]
        np.testing.assert_allclose(found, by_hand(text, i, j), rtol=1e-6)
        longest = max(longest, float(found[6]))
    assert longest >= 4  # a run over a border of chunks is among them


def test_features_of_eligible_pairs_look_at_nothing_from_the_window_on() -> None:
    """c_j+1 lies before the stride that the query's tokens see, so other text from there on changes nothing
    but the query itself.
    """
    text = text_of(1)
    for i, j in eligible_pairs_of(CHUNKS):
        window = (i // CONFIG.stride_chunks - 1) * CONFIG.stride_chunks
        assert j + 1 < window
        other = text.copy()
        other[window:] = 39
        every = [pair_features(text[i], seen, i - np.arange(CHUNKS - 1))[j] for seen in (text, other)]
        np.testing.assert_array_equal(*every)


@pytest.mark.parametrize("lexical_start", [True, False])
def test_scores_begin_at_zero(lexical_start: bool) -> None:
    config = replace(CONFIG, lexical_start=lexical_start)
    architecture = Architecture.of(SYSTEMS["rpt_sem_features"].build, config)
    model = architecture.model(initial_parameters(architecture, config, 0))
    encoded = model.encode(jnp.asarray(text_of(2).reshape(1, -1)))
    assert not np.any(chunk_scores(encoded.queries_BCE, encoded.keys_BCE, OURS))


def test_a_document_read_by_strides_is_ranked_as_a_whole_one(learned: Parameters, tmp_path) -> None:
    model, text = model_of(learned), jnp.asarray(text_of(4).reshape(1, -1))
    assert model.config == OURS
    whole = model.encode(text)
    expected = np.asarray(chunk_scores(whole.queries_BCE, whole.keys_BCE, OURS))[0]
    memory, past, seen = RetrievalIndex(OURS, CHUNKS, tmp_path), model.start_encoding(1), 0
    for first in range(0, CHUNKS, OURS.stride_chunks):
        encoded, past = model.encode_segment(
            text[:, first * SIZE : (first + OURS.stride_chunks) * SIZE], past
        )
        memory.add(np.asarray(encoded.keys_BCE[0]), np.asarray(encoded.chunks_BCMD[0]))
        ids, scores = memory.search(first, np.asarray(encoded.queries_BCE[0]), CHUNKS)
        for row in range(OURS.stride_chunks):
            found = ids[row][ids[row] >= 0]
            seen += len(found)
            np.testing.assert_allclose(
                scores[row][: len(found)], expected[first + row][found], rtol=1e-4, atol=1e-4
            )
            assert np.all(np.diff(scores[row][: len(found)]) <= 0)
    assert seen == 2 * (1 + 3 + 5)  # what is eligible for chunks 4 to 9, strides of two


def test_an_approximate_index_is_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="must be exact"):
        RetrievalIndex(OURS, CHUNKS, tmp_path, "hnsw")


def test_only_the_ranking_loss_teaches_weights(learned: Parameters, make_batch) -> None:
    batch = make_batch()
    losses = jax.jacrev(
        lambda values: model_of(values).train_losses(batch, Schedule(4.0, 1.0, 0.5), jax.random.key(0))[0]
    )
    gradients = jax.jit(losses)(learned)
    assert np.any(gradients["ranking"][WEIGHTS])
    assert not np.any(gradients["lm"][WEIGHTS])


def test_a_system_without_them_has_none() -> None:
    sizes = Architecture.of(SYSTEMS["rpt_sem"].build, CONFIG).parameter_sizes()
    assert WEIGHTS not in sizes
    assert "retriever.lexical.term_scale" in sizes
