"""What agrees before two tokens is counted as a loop over the tokens would, over the borders of segments, and
nothing of the future.
"""

import numpy as np
import pytest

from model.agreement import LONGEST, NOTHING, Agreement, windows_of
from model.config import ModelConfig
from model.language_model import LanguageModel
from model.parameters import Architecture
from model.registry import SYSTEMS
from tests.model.programs import compiled
from tests.tiny import tiny_config

COPYING = tiny_config(copying=True)
STRIDE = 4
WORTH = np.array([[1.0, 10.0, 100.0], [0.5, 0.0, 2.0]], np.float32)
"""[H, LONGEST]: the first head's bias reads as the number of tokens that agree, 1, 11 or 111."""


@pytest.fixture(scope="module")
def agreement() -> Agreement:
    agreement = Agreement(len(WORTH))
    agreement.match_bias[...] = WORTH
    return agreement


@pytest.fixture(scope="module")
def text() -> np.ndarray:
    """[1, LONGEST + 12] of two tokens, so that much agrees."""
    tokens = np.random.default_rng(0).integers(0, 2, (1, 3 * STRIDE)).astype(np.int32)
    return np.concatenate((np.full((1, LONGEST), NOTHING, np.int32), tokens), axis=1)


def agreeing(text_T: np.ndarray, query: int, key: int) -> int:
    """Tokens in which the text up to `query` agrees with the text before `key`."""
    count = 0
    while count < LONGEST and text_T[LONGEST + query - count] == text_T[LONGEST + key - 1 - count]:
        count += 1
    return count


def test_the_bias_is_that_of_the_tokens_that_agree(agreement: Agreement, text: np.ndarray) -> None:
    length = text.shape[1] - LONGEST
    counts = np.array([[agreeing(text[0], query, key) for key in range(length)] for query in range(length)])
    assert set(counts.ravel()) == {0, 1, 2, 3}
    expected = np.pad(np.cumsum(WORTH, axis=1), ((0, 0), (1, 0)))[:, counts]
    np.testing.assert_array_equal(agreement(text, text)[0], expected)


def test_a_window_is_a_stride_and_the_one_before_it(agreement: Agreement, text: np.ndarray) -> None:
    before = np.full((1, STRIDE), NOTHING, np.int32)
    queries, keys = windows_of(np.concatenate((before, text), axis=1), STRIDE, 3)
    whole, windows = np.asarray(agreement(text, text))[0], np.asarray(agreement(queries, keys))
    for stride in (1, 2):
        own, both = (
            slice(stride * STRIDE, (stride + 1) * STRIDE),
            slice((stride - 1) * STRIDE, (stride + 1) * STRIDE),
        )
        np.testing.assert_array_equal(windows[stride], whole[:, own, both])
    np.testing.assert_array_equal(windows[0][..., STRIDE:], whole[:, :STRIDE, :STRIDE])


def test_documents_begin_with_nothing_before_them(make_model) -> None:
    """What `start_encoding` holds is what a segment without a past has before it."""
    model = make_model("transformer_xl", COPYING, 1.0)
    tokens = (
        np.random.default_rng(2)
        .integers(0, COPYING.vocabulary_size, (1, COPYING.stride_tokens))
        .astype(np.int32)
    )
    alone = compiled(LanguageModel.encode)(model, tokens)
    started, _ = compiled(LanguageModel.encode_segment)(model, tokens, model.start_encoding(1))
    np.testing.assert_array_equal(started.text_BT, alone.text_BT)
    np.testing.assert_allclose(started.hidden_BLD, alone.hidden_BLD, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_is_told_but_the_official_forms(name: str) -> None:
    with_it, without = (
        Architecture.of(SYSTEMS[name].build, config).parameter_sizes()
        for config in (COPYING, COPYING.as_published())
    )
    more = {path.rpartition(".")[2] for path in with_it.keys() - without.keys()}
    crossing = {"nothing_bias"} if any(".cross_attention." in path for path in without) else set()
    fused = {"scale"} if any(path.startswith("fusion.") for path in without) else set()
    assert more == (set() if name.endswith("_official") else {"match_bias"} | crossing | fused)


def test_the_paper_has_none_of_it() -> None:
    assert not ModelConfig.__dataclass_fields__["copying"].default
