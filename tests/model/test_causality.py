"""Nothing that is predicted may depend on what comes after, and neighbours serve exactly the chunk they were
fetched for.
"""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from model.registry import SYSTEMS
from tests.model.programs import compiled, final_states
from tests.tiny import tiny_config

CHUNKS = 12
SAME = 1e-6
FIRST_CHANGED = [0, 1, 3, 4, 15, 16, 23, 30, 47]
LENGTHS = [37, 41, 42, 43, 44, 47]


@pytest.fixture(scope="module")
def tokens(two_layers) -> np.ndarray:
    return (
        np.random.default_rng(0)
        .integers(0, two_layers.vocabulary_size, (1, CHUNKS * two_layers.chunk_tokens))
        .astype(np.int32)
    )


@pytest.fixture(scope="module")
def neighbours(two_layers, random_candidates) -> np.ndarray:
    return random_candidates(np.random.default_rng(1), CHUNKS, 2, two_layers.stride_chunks)[None]


def distances(states_BLD, others_BLD) -> np.ndarray:
    """[L]: how far apart the states of each position are. Texts are read one by one: rows of a batch are not
    rounded alike.
    """
    return np.abs(np.asarray(states_BLD) - np.asarray(others_BLD)).max(axis=(0, 2))


def with_another_token(tokens: np.ndarray, position: int, vocabulary_size: int) -> np.ndarray:
    changed = tokens.copy()
    changed[0, position] = (changed[0, position] + 1) % vocabulary_size
    return changed


def assert_causal(final, tokens: np.ndarray, vocabulary_size: int) -> None:
    before = final(tokens)
    for position in FIRST_CHANGED:
        difference = distances(final(with_another_token(tokens, position, vocabulary_size)), before)
        assert difference[:position].max(initial=0.0) < SAME, (
            f"token {position} changes an earlier prediction"
        )
        assert difference[position] > 1e-3, f"token {position} changes nothing"


@pytest.mark.parametrize(("name", "copying"), [*((name, False) for name in SYSTEMS), ("rpt_sem", True)])
def test_with_given_neighbours(name, copying, make_model, tokens, neighbours, two_layers) -> None:
    model = make_model(name, replace(two_layers, copying=copying), 1.0 if copying else 10.0)
    assert_causal(lambda text: final_states(model, text, neighbours), tokens, two_layers.vocabulary_size)


@compiled
def with_own(model, tokens_BL):
    """Final states and the neighbours that the system retrieved itself."""
    encoded = model.encode(tokens_BL)
    neighbours = model.retrieve(encoded)
    return model.decode(encoded, neighbours), neighbours


@pytest.fixture(
    scope="module",
    params=[("rpt_lex", 2), ("rpt_sem", 1), ("rpt_sem", 3), ("rpt_sem", 4)],
    ids="{0[0]}-{0[1]}".format,
)
def with_own_neighbours(request, make_model, tokens):
    """tokens -> final states of a system that retrieves so many neighbours itself."""
    name, count = request.param
    model = make_model(name, tiny_config(neighbours=count))
    most = np.asarray(with_own(model, np.zeros_like(tokens))[1] >= 0).sum(axis=-1).max()
    assert most == count, "no chunk has all of its neighbours"
    return lambda text: with_own(model, text)[0]


def test_with_its_own_neighbours(with_own_neighbours, tokens, two_layers) -> None:
    assert_causal(with_own_neighbours, tokens, two_layers.vocabulary_size)


def test_a_document_may_end_inside_a_chunk_or_with_it(with_own_neighbours, tokens, two_layers) -> None:
    """What is predicted up to its last token is what was predicted when the text went on, and does not depend
    on the padding.
    """
    whole = with_own_neighbours(tokens)
    for length, padding in itertools.product(LENGTHS, (0, two_layers.vocabulary_size - 1)):
        cut = tokens.copy()
        cut[:, length:] = padding
        difference = distances(with_own_neighbours(cut), whole)
        assert difference[:length].max() < SAME, f"{length} tokens and then {padding}"
        assert difference[length:].max() > 1e-3, f"{length} tokens and then {padding}"


def test_every_token_of_a_partial_last_chunk_counts(with_own_neighbours, tokens, two_layers) -> None:
    """Each changes what is predicted from itself on, up to the end of a document of 42 tokens, and nothing
    before.
    """
    document = tokens.copy()
    document[:, 42:] = 0
    before = with_own_neighbours(document)
    for position in (39, 40, 41):
        difference = distances(
            with_own_neighbours(with_another_token(document, position, two_layers.vocabulary_size)), before
        )
        assert difference[:position].max() < SAME, position
        assert difference[position:42].min() > 1e-4, position


@pytest.mark.parametrize("name", ["retro", "rpt_sem"])
def test_neighbours_of_a_chunk_change_the_predictions_of_the_next_chunk_only(
    name: str, make_model, tokens, neighbours
) -> None:
    model = make_model(name, tiny_config(gate_window=1))
    before, size = final_states(model, tokens, neighbours), tokens.shape[1] // CHUNKS
    for chunk, others in ((4, [-1, -1]), (9, [1, 3]), (11, [6, -1])):
        changed = neighbours.copy()
        assert list(changed[0, chunk]) != others
        changed[0, chunk] = others
        # Position p predicts token p + 1: these are the positions whose target lies in chunk + 1.
        served = (np.arange(CHUNKS * size) + 1) // size == chunk + 1
        difference = distances(final_states(model, tokens, changed), before)
        assert difference[served].min() > 1e-4
        assert difference[~served].max() < SAME
