"""Models that begin with values that copy do so before they are trained, from neighbours, and from where in
them the text stands.
"""

from dataclasses import replace

import numpy as np
import pytest

from model.initialisation import initial_parameters
from model.language_model import LanguageModel
from model.parameters import Architecture
from model.registry import SYSTEMS
from tests.model.programs import losses_of_passages, losses_of_tokens
from tests.tiny import tiny_config

CHUNK, CHUNKS = 16, 16
CONFIG = tiny_config(
    vocabulary_size=256, width=64, heads=2, chunk_tokens=CHUNK, zero_init_residuals=True, copying=True
)
QUERY, SOURCE, OTHER = 12, 2, 6


def first_model(name: str, config=CONFIG) -> LanguageModel:
    architecture = Architecture.of(SYSTEMS[name].build, config)
    return architecture.model(initial_parameters(architecture, config, 0))


def copied(offset: int, shift: int) -> np.ndarray:
    """[L + 1] random tokens, in which what stands from `offset` of chunk 2 on stands again from `shift` of
    chunk 12 on.
    """
    rng = np.random.default_rng(0)
    text = rng.integers(0, CONFIG.vocabulary_size, CHUNKS * CHUNK + 1).astype(np.int32)
    begin, again, length = SOURCE * CHUNK + offset, QUERY * CHUNK + shift, 2 * CHUNK - max(offset, shift)
    text[again : again + length] = text[begin : begin + length]
    return text


def loss_of_the_copy(model: LanguageModel, text: np.ndarray, neighbour: int) -> float:
    """Of the eight tokens at the start of the chunk after the query, all of which the source holds."""
    neighbours = np.full((1, CHUNKS, 1), -1, np.int32)
    neighbours[0, QUERY] = neighbour
    losses = np.asarray(losses_of_tokens(model, text[None, :-1], text[None, 1:], neighbours))[0]
    return float(losses[(QUERY + 1) * CHUNK - 1 : (QUERY + 1) * CHUNK + 7].mean())


@pytest.mark.parametrize(("offset", "shift"), [(0, 0), (3, 5), (7, 1), (2, 12)])
def test_a_true_neighbour_is_copied_wherever_the_text_stands_in_it(offset: int, shift: int) -> None:
    model, text = first_model("retro"), copied(offset, shift)
    true, wrong = loss_of_the_copy(model, text, SOURCE), loss_of_the_copy(model, text, OTHER)
    assert wrong - true > 2.0, f"{true:.2f} with the true neighbour, {wrong:.2f} with another"
    plain = first_model("retro", replace(CONFIG, copying=False))
    assert abs(loss_of_the_copy(plain, text, OTHER) - loss_of_the_copy(plain, text, SOURCE)) < 0.5


def test_a_neighbour_in_which_nothing_agrees_is_hardly_read() -> None:
    model, text = first_model("retro"), copied(3, 5)
    assert abs(loss_of_the_copy(model, text, OTHER) - loss_of_the_copy(model, text, -1)) < 0.2


@pytest.mark.parametrize("name", ["transformer_xl", "retro", "rpt_lex"])
def test_shared_parameters_are_the_same_bits(name: str) -> None:
    own, full = (
        initial_parameters(Architecture.of(SYSTEMS[system].build, CONFIG), CONFIG, 0)
        for system in (name, "rpt_sem")
    )
    for path, value in own.items():
        np.testing.assert_array_equal(value, full[path])


def test_a_quarter_of_a_head_is_turned() -> None:
    config = replace(CONFIG, width=128, heads=4, chunk_tokens=64)
    assert config.turned == 8
    assert replace(config, copying=False).turned is None


def test_a_passage_of_another_document_is_copied_too() -> None:
    """What RETRO's own encoder makes of a passage is matched and handed on like what the lower decoder makes
    of a chunk.
    """
    model, text = first_model("retro_corpus"), copied(0, 0)
    passages = np.full((1, CHUNKS, 1, 2 * CHUNK), -1, np.int32)
    losses = {}
    for name, source in (("true", SOURCE), ("wrong", 6)):
        passages[0, QUERY, 0] = text[source * CHUNK : (source + 2) * CHUNK]
        found = np.asarray(losses_of_passages(model, text[None, :-1], text[None, 1:], passages))[0]
        losses[name] = float(found[(QUERY + 1) * CHUNK - 1 : (QUERY + 2) * CHUNK - 1].mean())
    assert losses["wrong"] - losses["true"] > 1.0, losses
