"""Nothing that is predicted may depend on what comes after, and neighbours serve exactly the chunk they were fetched for."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from model.presets import SYSTEMS

CHUNKS = 12
SAME = 1e-6
FIRST_CHANGED = [0, 1, 3, 4, 15, 16, 23, 30, 47]


@pytest.fixture(scope="module", params=list(SYSTEMS))
def model(request, make_model):
    return make_model(request.param)


@pytest.fixture(scope="module")
def tokens(small) -> np.ndarray:
    return np.random.default_rng(0).integers(0, small.vocabulary_size, (1, CHUNKS * small.chunk_tokens)).astype(np.int32)


@pytest.fixture(scope="module")
def neighbours(small, random_candidates) -> np.ndarray:
    return random_candidates(np.random.default_rng(1), CHUNKS, 2, small.stride_chunks)[None]


def assert_causal(final, tokens: np.ndarray, vocabulary_size: int) -> None:
    before = final(tokens)
    for position in FIRST_CHANGED:
        changed = tokens.copy()
        changed[0, position] = (changed[0, position] + 1) % vocabulary_size
        difference = np.abs(final(changed) - before).max(axis=(0, 2))
        assert difference[:position].max(initial=0.0) < SAME, f"token {position} changes an earlier prediction"
        assert difference[position] > 1e-3


def test_with_given_neighbours(model, tokens, neighbours, small, quick_jit) -> None:
    assert_causal(quick_jit(lambda t: model.decode(model.encode(t), neighbours)), tokens, small.vocabulary_size)


@pytest.fixture(
    scope="module", params=[("rpt_lex", 2), ("rpt_sem", 1), ("rpt_sem", 2), ("rpt_sem", 3), ("rpt_sem", 4)], ids="{0[0]}-{0[1]}".format
)
def with_own_neighbours(request, make_model, small, quick_jit):
    """tokens -> final states of a system that retrieves so many neighbours itself."""
    name, count = request.param
    model = make_model(name, replace(small, neighbours=count))

    def final(tokens_BL):
        encoded = model.encode(tokens_BL)
        neighbours = model.retrieve(encoded)
        return model.decode(encoded, neighbours), neighbours

    compiled = quick_jit(final)
    most = np.asarray(compiled(np.zeros((1, CHUNKS * small.chunk_tokens), np.int32))[1] >= 0).sum(axis=-1).max()
    assert most == count, "no chunk has all of its neighbours"
    return lambda tokens_BL: np.asarray(compiled(tokens_BL)[0])


def test_with_its_own_neighbours(with_own_neighbours, tokens, small) -> None:
    assert_causal(with_own_neighbours, tokens, small.vocabulary_size)


@pytest.mark.parametrize("length", [37, 41, 42, 43, 44, 47])
def test_a_document_may_end_inside_a_chunk_or_with_it(with_own_neighbours, tokens, small, length: int) -> None:
    """What is predicted up to its last token is what was predicted when the text went on, and does not depend on the padding."""
    whole = with_own_neighbours(tokens)
    for padding in (0, small.vocabulary_size - 1):
        cut = tokens.copy()
        cut[:, length:] = padding
        difference = np.abs(with_own_neighbours(cut) - whole).max(axis=(0, 2))
        assert difference[:length].max() < SAME
        assert difference[length:].max() > 1e-3


def test_every_token_of_a_partial_last_chunk_counts(with_own_neighbours, tokens, small) -> None:
    """Each changes what is predicted from itself on, up to the end of a document of 42 tokens, and nothing before."""
    document = tokens.copy()
    document[:, 42:] = 0
    before = with_own_neighbours(document)
    for position in (39, 40, 41):
        changed = document.copy()
        changed[0, position] = (changed[0, position] + 1) % small.vocabulary_size
        difference = np.abs(with_own_neighbours(changed) - before).max(axis=(0, 2))
        assert difference[:position].max() < SAME
        assert difference[position:42].min() > 1e-4


@pytest.mark.parametrize("name", ["retro", "rpt_sem"])
def test_neighbours_of_a_chunk_change_the_predictions_of_the_next_chunk_only(
    name: str, make_model, tokens, neighbours, small, quick_jit
) -> None:
    model = make_model(name, replace(small, cca_layers=(4,), gate_window=1))
    final = quick_jit(lambda n: model.decode(model.encode(tokens), n))
    size = small.chunk_tokens
    for chunk, others in ((4, [-1, -1]), (9, [1, 3]), (11, [6, -1])):
        changed = neighbours.copy()
        assert list(changed[0, chunk]) != others
        changed[0, chunk] = others
        # Position p predicts token p + 1: these are the positions whose target lies in chunk + 1.
        served = (np.arange(CHUNKS * size) + 1) // size == chunk + 1
        difference = np.asarray(jnp.abs(final(changed) - final(neighbours)).max(axis=(0, 2)))
        assert difference[served].min() > 1e-4
        assert difference[~served].max() < SAME
