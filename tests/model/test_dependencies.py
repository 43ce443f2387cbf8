"""What each system can see, measured, is what its masks promise and what docs/dependencies.md shows."""

from pathlib import Path

import numpy as np
import pytest

from data_contracts.eligibility import last_eligible
from model.registry import SYSTEMS
from tests.model.dependencies import dependencies, picture
from tests.model.programs import compiled
from tests.tiny import tiny_config

PAGE = Path(__file__).resolve().parents[2] / "docs" / "dependencies.md"
CHUNKS = 16
# the others read passages of elsewhere
OF_DOCUMENTS = [name for name, system in SYSTEMS.items() if system.supervision != "corpus"]


@pytest.fixture(scope="module")
def config():
    """One layer in each decoder, cross-attention in the upper one, one neighbour."""
    return tiny_config(neighbours=1)


@pytest.fixture(scope="module")
def neighbours(config) -> np.ndarray:
    """[1, C, 1]: the first chunk for even chunks, the last eligible one for odd ones, -1 where nothing is
    eligible.
    """
    last = last_eligible(np.arange(CHUNKS), config.stride_chunks)
    return np.where(last < 0, -1, np.where(np.arange(CHUNKS) % 2, last, 0))[None, :, None]


@pytest.fixture(scope="module")
def seen(make_model, config, neighbours) -> dict[str, np.ndarray]:
    tokens = np.random.default_rng(0).integers(0, config.vocabulary_size, (1, CHUNKS * config.chunk_tokens))
    measured = compiled(lambda model, tokens: dependencies(model, tokens, neighbours))
    return {name: np.asarray(measured(make_model(name, config, 3.0), tokens)) for name in OF_DOCUMENTS}


def windows(config, layers: int) -> np.ndarray:
    """[L, L]: what `layers` layers of sliding-window attention let a position see."""
    position = np.arange(CHUNKS * config.chunk_tokens)
    begin = (position // config.stride_tokens - layers) * config.stride_tokens
    return (position <= position[:, None]) & (position >= begin[:, None])


def bands(config, layers: int) -> np.ndarray:
    """[L, L]: the same where each token sees a stride's number of tokens before it."""
    distance = np.subtract.outer(
        np.arange(CHUNKS * config.chunk_tokens), np.arange(CHUNKS * config.chunk_tokens)
    )
    return (distance >= 0) & (distance <= layers * config.stride_tokens)


def visible(name: str, config) -> np.ndarray:
    return (bands if name.endswith("_official") else windows)(config, config.layers)


def test_transformer_xl_sees_one_stride_further_back_with_each_layer(seen, config):
    np.testing.assert_array_equal(seen["transformer_xl"], windows(config, config.layers))
    np.testing.assert_array_equal(seen["transformer_xl_official"], bands(config, config.layers))


@pytest.mark.parametrize("name", [name for name, system in SYSTEMS.items() if system.retriever == "none"])
def test_without_neighbours_all_that_is_in_the_window_is_seen_and_nothing_of_the_future(seen, config, name):
    assert seen[name][visible(name, config)].all()
    assert not np.triu(seen[name], 1).any()


@pytest.mark.parametrize(
    "name",
    ["memorizing_32k", "block_recurrent", "griffin", "memorizing_32k_official", "block_recurrent_official"],
)
def test_what_carries_state_sees_beyond_the_window(seen, config, name):
    """A state forgets and a search chooses, so not every token of the past is seen; of the first strides the
    last one sees some.
    """
    last, begin = seen[name][-1], (CHUNKS // config.stride_chunks - 1 - config.layers) * config.stride_tokens
    assert last[:begin].any()


@pytest.mark.parametrize("name", [name for name in OF_DOCUMENTS if SYSTEMS[name].retriever != "none"])
def test_the_others_see_their_neighbours_too_and_nothing_else(seen, config, neighbours, name):
    """A neighbour brings what the lower decoder saw at its two chunks, to the predictions of the chunk after
    the query.
    """
    size, lower = config.chunk_tokens, windows(config, 1)
    expected = windows(config, config.layers)
    for chunk, neighbour in enumerate(neighbours[0, :, 0]):
        if neighbour >= 0:
            brought = lower[neighbour * size : (neighbour + 2) * size].any(axis=0)
            expected[(chunk + 1) * size - 1 : (chunk + 2) * size - 1] |= brought
    assert not (seen[name] & ~_with_gates(expected, neighbours, lower, size)).any()
    assert (seen[name] & expected).sum() == expected.sum()


def _with_gates(expected: np.ndarray, neighbours: np.ndarray, lower: np.ndarray, size: int) -> np.ndarray:
    """The gate of a neighbour attends to the neighbours of earlier chunks in its window, so they are seen as
    well, if only a little.
    """
    allowed = expected.copy()
    for chunk in range(CHUNKS):
        for earlier in range(chunk + 1):
            if (neighbour := neighbours[0, earlier, 0]) >= 0:
                query = lower[earlier * size : (earlier + 1) * size].any(axis=0)
                brought = lower[neighbour * size : (neighbour + 2) * size].any(axis=0) | query
                allowed[(chunk + 1) * size - 1 : (chunk + 2) * size - 1] |= brought
    return allowed & (np.arange(len(allowed)) <= np.arange(len(allowed))[:, None])


@pytest.mark.parametrize("name", OF_DOCUMENTS)
def test_the_page_shows_what_was_measured(seen, config, name):
    drawn = picture(seen[name], seen["transformer_xl"], config.chunk_tokens)
    assert f"\n{drawn}\n" in PAGE.read_text(), f"docs/dependencies.md should hold\n\n{drawn}"
