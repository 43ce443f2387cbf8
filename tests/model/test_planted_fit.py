"""A trained Transformer-XL that can only guess a repeated record learns to read it from a passage, is what it
was without one, and gains nothing from passages that are wrong ones.
"""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.language_model import LanguageModel, Schedule
from model.registry import SYSTEMS
from model.schedules import learning_rate
from model.system import System
from model.train_step import TrainState, init_train_state, train_step
from tests.model.planted import Planted, planted_batch, planted_documents, wrong_neighbours
from tests.model.programs import losses_of_tokens
from tests.quick_compilation import OPTIMISED
from tests.tiny import tiny_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

CONFIG = tiny_config(
    vocabulary_size=256, width=64, chunk_tokens=8, neighbours=1, zero_init_residuals=True, copying=True
)
BEFORE, AFTER, RATE = 50, 200, 5e-3
DOCUMENTS, PAIRS, HELD_OUT = 2, 32, 8


def passages_of(planted: Planted, sources_BC: np.ndarray) -> np.ndarray:
    """[B, C, 1, 2 M] the chunk that is named and the one after it, -1 for none."""
    chunks = planted.text_BL1[:, :-1].reshape(*sources_BC.shape, CONFIG.chunk_tokens)
    pairs = np.concatenate((chunks, np.roll(chunks, -1, axis=1)), axis=-1)
    found = np.take_along_axis(pairs, np.maximum(sources_BC, 0)[..., None], axis=1)
    return np.where(sources_BC[..., None] < 0, -1, found)[:, :, None].astype(np.int32)


def trained(system: System, steps: int, wrong: bool = False) -> TrainState:
    """After so many steps, none of which sees a document twice."""
    optimizer = system.optimizer_for(CONFIG, learning_rate(RATE, steps, 0.2))
    state, update = init_train_state(system, CONFIG, 0, optimizer), None
    for step in range(steps):
        rng = np.random.default_rng((0, step, steps))
        planted = planted_documents(rng, CONFIG, DOCUMENTS, PAIRS)
        sources = wrong_neighbours(rng, planted, CONFIG) if wrong else planted.sources()
        batch = planted_batch(planted, CONFIG)._replace(passages_BCNR=passages_of(planted, sources))
        given = batch, Schedule(1.0, 0.0, 0.0), jax.random.key(step)
        update = update or train_step.lower(state, *given).compile(OPTIMISED)
        state, _ = update(state, *given)
    return state


def loss(model: LanguageModel, planted: Planted, sources_BC: np.ndarray) -> float:
    """Nats a token of the repeated records."""
    text = planted.text_BL1
    losses = np.asarray(losses_of_tokens(model, text[:, :-1], text[:, 1:], sources_BC[..., None]))
    return float(losses[planted.repeated_positions(CONFIG.chunk_tokens)].mean())


def test_a_trained_transformer_xl_learns_to_read_passages():
    before = trained(SYSTEMS["transformer_xl"], BEFORE).parameters
    system = SYSTEMS["retro_fit"]
    begun = replace(
        system, first_values=lambda *given: {**system.first_values(*given), **jax.tree.map(jnp.copy, before)}
    )
    held_out = planted_documents(np.random.default_rng(1), CONFIG, HELD_OUT, PAIRS)
    true, wrong = held_out.sources(), wrong_neighbours(np.random.default_rng(1), held_out, CONFIG)
    fit, control = trained(begun, AFTER).model(), trained(begun, AFTER, wrong=True).model()
    none = loss(fit, held_out, np.full_like(true, -1))
    own, by_chance = loss(fit, held_out, true), loss(fit, held_out, wrong)
    assert none == pytest.approx(np.log(CONFIG.vocabulary_size), rel=0.05)
    assert none == loss(control, held_out, np.full_like(true, -1)), "of both it is the Transformer-XL's"
    assert own < 0.5 * none
    assert by_chance == pytest.approx(none, rel=0.1)
    assert loss(control, held_out, wrong) == pytest.approx(none, rel=0.1)
