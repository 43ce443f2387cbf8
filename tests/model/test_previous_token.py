"""Each token is told the one before it, over the borders of segments, and nothing else."""

import numpy as np
import pytest

from model.config import Shape
from model.parameters import Architecture
from model.presets import SYSTEMS
from model.previous_token import PreviousToken
from tests.tiny import tiny_shape

COPYING = tiny_shape(copying=True)


@pytest.fixture(scope="module")
def layer() -> PreviousToken:
    layer = PreviousToken(4)
    layer.carry.kernel[...] = np.random.default_rng(0).normal(size=(4, 4))
    return layer


@pytest.fixture(scope="module")
def embedded() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(2, 6, 4)).astype(np.float32)


def test_a_token_is_told_the_one_before_it_and_the_first_nothing(layer: PreviousToken, embedded: np.ndarray) -> None:
    expected = embedded.copy()
    expected[:, 1:] += embedded[:, :-1] @ np.asarray(layer.carry.kernel[...])
    np.testing.assert_allclose(layer(embedded), expected, rtol=1e-5, atol=1e-6)


def test_two_segments_are_one(layer: PreviousToken, embedded: np.ndarray) -> None:
    first, second = layer(embedded[:, :3]), layer(embedded[:, 3:], embedded[:, 2])
    np.testing.assert_allclose(np.concatenate((first, second), axis=1), layer(embedded), rtol=1e-5, atol=1e-6)


def test_rows_in_which_a_document_starts_are_told_nothing(make_model) -> None:
    """What `start_encoding` holds is what a segment without a past has before it."""
    model = make_model("transformer_xl", COPYING)
    tokens = np.random.default_rng(2).integers(0, COPYING.vocabulary_size, (1, COPYING.stride_tokens)).astype(np.int32)
    alone = model.encode(tokens).hidden_BLD
    started = model.encode_segment(tokens, model.start_encoding(1))[0].hidden_BLD
    np.testing.assert_allclose(started, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_is_told_but_the_official_forms(name: str) -> None:
    with_it, without = (Architecture.of(SYSTEMS[name].build, shape).parameter_sizes() for shape in (COPYING, COPYING.as_published()))
    more = {"previous.carry.kernel", *({"fusion.states_norm.scale"} if any(path.startswith("fusion.") for path in without) else ())}
    assert with_it.keys() - without.keys() == (set() if name.endswith("_official") else more)


def test_the_paper_has_none_of_it() -> None:
    assert not Shape.__dataclass_fields__["copying"].default
