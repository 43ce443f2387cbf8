"""Models that begin with values that copy do so before they are trained, from the window and from neighbours."""

from dataclasses import replace

import numpy as np
import pytest

from model.copying_values import matched_dimensions
from model.initialisation import initial_parameters
from model.language_model import LanguageModel
from model.parameters import Architecture
from model.presets import SYSTEMS
from tests.model.programs import losses_of_passages, losses_of_tokens
from tests.tiny import tiny_shape

CHUNK, CHUNKS = 16, 16
SHAPE = tiny_shape(vocabulary_size=256, width=64, heads=2, chunk_tokens=CHUNK, zero_init_residuals=True, copying=True)
QUERY, SOURCE, OFFSET, SHIFT = 12, 2, 3, 5


def first_model(name: str, shape=SHAPE) -> LanguageModel:
    architecture = Architecture.of(SYSTEMS[name].build, shape)
    return architecture.model(initial_parameters(architecture, shape, 0))


@pytest.fixture(scope="module")
def text() -> np.ndarray:
    """[L + 1] random tokens, in which what stands in chunk 2 and the next stands again in chunk 12 and the next, at another offset."""
    rng = np.random.default_rng(0)
    text = rng.integers(0, SHAPE.vocabulary_size, CHUNKS * CHUNK + 1).astype(np.int32)
    begin, again, length = SOURCE * CHUNK + OFFSET, QUERY * CHUNK + SHIFT, 2 * CHUNK - SHIFT
    text[again : again + length] = text[begin : begin + length]
    return text


def loss_of_the_copy(model: LanguageModel, text: np.ndarray, neighbour: int) -> float:
    neighbours = np.full((1, CHUNKS, 1), -1, np.int32)
    neighbours[0, QUERY] = neighbour
    losses = np.asarray(losses_of_tokens(model, text[None, :-1], text[None, 1:], neighbours))[0]
    return float(losses[(QUERY + 1) * CHUNK - 1 : (QUERY + 2) * CHUNK - 1].mean())


def test_a_true_neighbour_is_copied_wherever_the_text_stands_in_it(text: np.ndarray) -> None:
    model = first_model("retro")
    true, wrong = loss_of_the_copy(model, text, SOURCE), loss_of_the_copy(model, text, 6)
    assert wrong - true > 1.0, f"{true:.2f} with the true neighbour, {wrong:.2f} with another"
    assert loss_of_the_copy(first_model("retro", replace(SHAPE, copying=False)), text, SOURCE) > wrong - 2.0


def test_the_window_is_looked_up_by_the_token_before(text: np.ndarray) -> None:
    """The first heads attend most to what followed the same token; what they hand on is learned."""
    shape = replace(SHAPE, heads=2, width=128)
    model = first_model("transformer_xl", shape)
    tokens = np.tile(text[None, :CHUNK], 2)
    block = model.lower.layers[0]
    normed = block.attention_norm(model.previous(model.embedding(tokens)))
    queries, (keys, _) = block.attention.queries(normed), block.attention.keys_and_values(normed)
    logits = np.einsum("qk,tk->qt", queries[0, :, 0], keys[0, :, 0])
    last = logits[-2, : 2 * CHUNK - 2]
    assert last.argmax() == CHUNK - 1


@pytest.mark.parametrize("name", ["transformer_xl", "retro", "rpt_lex"])
def test_shared_parameters_are_the_same_bits(name: str) -> None:
    own, full = (initial_parameters(Architecture.of(SYSTEMS[system].build, SHAPE), SHAPE, 0) for system in (name, "rpt_sem"))
    for path, value in own.items():
        np.testing.assert_array_equal(value, full[path])


def test_the_still_features_of_a_head_match() -> None:
    """A quarter of a head is turned by positions, and half of the width is the most that can be written beside."""
    shape = replace(SHAPE, width=128, heads=4, chunk_tokens=64)
    assert (shape.turned, matched_dimensions(shape)) == (8, 24)
    assert matched_dimensions(replace(shape, heads=1)) == 64
    assert replace(shape, copying=False).turned is None


def test_a_passage_of_another_document_is_copied_too(text: np.ndarray) -> None:
    """What RETRO's own encoder makes of a passage is matched and handed on like what the lower decoder makes of a chunk."""
    model = first_model("retro_corpus")
    passages = np.full((1, CHUNKS, 1, 2 * CHUNK), -1, np.int32)
    losses = {}
    for name, source in (("true", SOURCE), ("wrong", 6)):
        passages[0, QUERY, 0] = text[source * CHUNK : (source + 2) * CHUNK]
        found = np.asarray(losses_of_passages(model, text[None, :-1], text[None, 1:], passages))[0]
        losses[name] = float(found[(QUERY + 1) * CHUNK - 1 : (QUERY + 2) * CHUNK - 1].mean())
    assert losses["wrong"] - losses["true"] > 1.0, losses
