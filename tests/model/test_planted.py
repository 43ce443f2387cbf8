"""The planted documents are what they say: repeats lie beyond the window, and nothing else tells anything
about a record.
"""

import numpy as np
import pytest

from data_contracts.eligibility import is_eligible
from model.config import ModelConfig
from tests.model.planted import MARK, PAIR, Planted, planted_batch, planted_documents, wrong_neighbours
from tests.tiny import tiny_config

PAIRS = 24


@pytest.fixture(params=[2, 4])
def config(request) -> ModelConfig:
    return tiny_config(vocabulary_size=256, chunk_tokens=8, stride_chunks=request.param)


@pytest.fixture
def planted(config) -> Planted:
    return planted_documents(np.random.default_rng(0), config, 6, PAIRS)


def chunks_of(planted: Planted, config: ModelConfig) -> np.ndarray:
    return planted.text_BL1[:, :-1].reshape(len(planted.text_BL1), PAIR * PAIRS, config.chunk_tokens)


def test_a_repeat_reads_as_its_source_with_what_follows_and_the_rest_is_fresh(planted, config) -> None:
    text, sources = chunks_of(planted, config), planted.sources()
    for row, query in np.argwhere(sources >= 0):
        source = sources[row, query]
        np.testing.assert_array_equal(text[row, source : source + PAIR], text[row, query : query + PAIR])
    fresh = text[:, ::PAIR][sources[:, ::PAIR] < 0], text[:, 1::PAIR][sources[:, ::PAIR] < 0]
    assert all(len(np.unique(chunks, axis=0)) == len(chunks) for chunks in fresh)
    assert 0.5 < (sources[:, ::PAIR] >= 0).mean() < 0.8


def test_a_mark_begins_each_header_and_stands_nowhere_else(planted, config) -> None:
    text = chunks_of(planted, config)
    assert (text[:, ::PAIR, 0] == MARK).all()
    assert (text == MARK).sum() == text[:, ::PAIR, 0].size


def test_every_source_is_eligible_and_no_occurrence_is_visible(planted, config) -> None:
    true = planted.true_neighbours()
    for row, query in np.argwhere(planted.sources() >= 0):
        earlier = np.flatnonzero(true[row, query, :query])
        assert is_eligible(query, earlier, config.stride_chunks).all()
        assert planted.sources()[row, query] == earlier[0]
        # The record is predicted up to chunk query + 1, from which the whole previous stride can be seen.
        assert (earlier + 1 < config.stride_chunks * (query // config.stride_chunks - 1)).all()


def test_the_repeated_positions_predict_the_repeated_records(planted, config) -> None:
    predicted_chunk = np.arange(1, planted.text_BL1.shape[1]) // config.chunk_tokens
    for row, positions in enumerate(planted.repeated_positions(config.chunk_tokens)):
        repeated = np.flatnonzero(planted.sources()[row] >= 0) + 1
        np.testing.assert_array_equal(positions, np.isin(predicted_chunk, repeated))


def test_only_true_neighbours_are_positive_and_all_candidates_are_eligible(planted, config) -> None:
    batch, true = planted_batch(planted, config), planted.true_neighbours()
    queries = np.arange(PAIR * PAIRS)[:, None]
    given = batch.candidates_BCS >= 0
    assert is_eligible(queries, batch.candidates_BCS, config.stride_chunks)[given].all()
    assert (true[:, queries, np.maximum(batch.candidates_BCS[0], 0)] == (batch.scores_BCS > 0))[given].all()
    np.testing.assert_array_equal(((batch.scores_BCS > 0) & given).any(axis=-1), planted.sources() >= 0)


def test_wrong_neighbours_are_eligible_and_read_otherwise(planted, config) -> None:
    wrong, text = wrong_neighbours(np.random.default_rng(1), planted, config), chunks_of(planted, config)
    for row, query in np.argwhere(wrong >= 0):
        assert is_eligible(query, wrong[row, query], config.stride_chunks)
        assert query % PAIR or not np.array_equal(text[row, query], text[row, wrong[row, query]])
    assert (wrong[planted.sources() >= 0] >= 0).mean() > 0.9


def test_documents_of_other_seeds_share_no_chunk(config) -> None:
    one, other = (
        chunks_of(planted_documents(np.random.default_rng(seed), config, 6, PAIRS), config) for seed in (0, 1)
    )
    assert not {chunk.tobytes() for chunk in one.reshape(-1, config.chunk_tokens)} & {
        chunk.tobytes() for chunk in other.reshape(-1, config.chunk_tokens)
    }
