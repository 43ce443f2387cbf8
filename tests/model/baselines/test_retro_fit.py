"""RETRO-fit: it begins as the Transformer-XL that it was, learns only what is new, and forgets nothing."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.agreement import LONGEST, NOTHING
from model.baselines.retro_fit import ServedCrossAttention, is_new
from model.language_model import Batch, Schedule
from model.neighbour_fusion import FusedNeighbours
from model.parameters import Architecture
from model.passages import Passages
from model.registry import SYSTEMS
from model.streaming import Document, StreamingReader
from model.taken_over import taken_over
from model.train_step import TrainState, init_train_state, train_step
from tests.model.programs import compiled, loss_and_gradients
from tests.tiny import tiny_config

CHUNKS, STEPS = 12, 4
HALVES = ("lower", "upper")
SCHEDULE = Schedule(1.0, 0.0, 0.0)


@pytest.fixture(scope="module", params=["two layers", "four layers, copying"])
def config(request):
    """With four layers Transformer-XL's lower decoder has two, and that of a fit one."""
    if request.param == "two layers":
        return tiny_config()
    return tiny_config(layers=4, cca_layers=(2, 4), lower=1, copying=True)


def stepped(state: TrainState, batch: Batch, seed: int) -> TrainState:
    """The state after a step, which uses up the state that it is given."""
    return train_step(jax.tree.map(jnp.copy, state), batch, SCHEDULE, jax.random.key(seed))[0]


@pytest.fixture(scope="module")
def before(config, make_batch) -> TrainState:
    """A Transformer-XL after some steps."""
    sizes, system = replace(config, lower=None, cca_layers=()), SYSTEMS["transformer_xl"]
    state = init_train_state(system, sizes, 0, system.optimizer_for(sizes, 1e-2))
    for step in range(STEPS):
        state = stepped(state, make_batch(sizes, seed=step), step)
    return state


@pytest.fixture(scope="module")
def states(before, config, make_batch) -> list[TrainState]:
    """A fit before its first step, and after each of the steps."""
    system = SYSTEMS["retro_fit"]
    trained = taken_over(before.parameters, replace(config, lower=None, cca_layers=()), config)
    began = replace(system, first_values=lambda *given: {**system.first_values(*given), **trained})
    states = [init_train_state(began, config, 0, system.optimizer_for(config, 1e-2))]
    for step in range(STEPS):
        states.append(stepped(states[-1], make_batch(config), step))
    return states


@compiled
def with_passages(model, tokens_BL, passages_BCNR):
    return model.decode(model.encode(tokens_BL), passages_BCNR)


@compiled
def of_transformer_xl(model, tokens_BL):
    return model.decode(model.encode(tokens_BL), None)


def test_before_the_first_step_it_is_the_transformer_xl_whatever_it_reads(states, before, make_batch, config):
    batch = make_batch(config)
    np.testing.assert_array_equal(
        with_passages(states[0].model(), batch.tokens_BL, batch.passages_BCNR),
        of_transformer_xl(before.model(), batch.tokens_BL),
    )


def test_without_passages_it_is_the_transformer_xl_after_every_step(states, before, make_batch, config):
    batch = make_batch(config, seed=1)
    expected, read = of_transformer_xl(before.model(), batch.tokens_BL), []
    for state in states:
        empty = np.full_like(batch.passages_BCNR, -1)
        np.testing.assert_array_equal(with_passages(state.model(), batch.tokens_BL, empty), expected)
        read.append(with_passages(state.model(), batch.tokens_BL, batch.passages_BCNR))
    assert all(np.abs(one - expected).max() > 1e-3 for one in read[1:])


def test_a_step_changes_what_is_new_and_nothing_else(states):
    first, last = states[0].parameters, states[-1].parameters
    changed = {path for path in first if not np.array_equal(first[path], last[path])}
    assert changed == {path for path in first if is_new(path)}
    kept = jax.tree.leaves(states[0].optimizer_state)
    assert sum(leaf.size for leaf in kept) < 2.1 * sum(first[path].size for path in changed)


def test_where_a_chunk_has_no_passage_nothing_is_added(config):
    """Of three chunks the middle one reads none: it serves positions 2 M - 1 to 3 M - 2."""
    rng, size = np.random.default_rng(0), config.chunk_tokens
    values = rng.standard_normal((1, 3, 2, 2 * size, config.width)).astype(np.float32)
    valid = np.array([[[True, False], [False, False], [True, True]]])
    text = np.full((1, 3, 2, 2 * size + LONGEST), NOTHING, np.int32)
    drawn = Architecture.of(ServedCrossAttention, config)
    module = drawn.model(
        {path: rng.standard_normal(shape) for path, shape in drawn.parameter_sizes().items()}
    )
    fused = FusedNeighbours(values, valid, text if config.copying else None)
    own = np.full((1, 4 * size + LONGEST), NOTHING, np.int32) if config.copying else None
    for length, begun, nothing in (
        (3 * size, None, {*range(size - 1), *range(2 * size - 1, 3 * size - 1)}),
        (2 * size, np.array([True]), set(range(size - 1, 2 * size - 1))),
        (2 * size, np.array([False]), set(range(2 * size - 1))),
    ):
        x = rng.standard_normal((1, length, config.width)).astype(np.float32)
        added = np.abs(module(x, fused, begun=begun, text_BT=own)).max(axis=(0, 2))
        assert {*np.flatnonzero(added == 0).tolist()} == nothing, (length, begun)


def test_a_document_read_stride_by_stride_without_passages_has_the_losses_of_the_transformer_xl(
    states, before, config
):
    rng = np.random.default_rng(3)
    text = rng.integers(0, config.vocabulary_size, CHUNKS * config.chunk_tokens + 1).astype(np.int32)
    known = rng.integers(0, config.vocabulary_size, (20, 2 * config.chunk_tokens)).astype(np.int32)
    slots_SCN = np.stack([rng.integers(0, 20, (CHUNKS, 2)), np.full((CHUNKS, 2), -1)]).astype(np.int32)
    document = Document(
        text, Passages(known), lambda first, _: slots_SCN[:, first : first + config.stride_chunks]
    )
    [(_, reading)] = StreamingReader(states[-1].model(), 2, 2, 6, rows=1).read(iter([document]))
    expected = before.model().token_losses(of_transformer_xl(before.model(), text[None, :-1]), text[None, 1:])
    np.testing.assert_allclose(reading.losses_ST[1], expected[0], atol=2e-6)
    assert np.abs(reading.losses_ST[0] - expected[0]).max() > 1e-3


def test_only_what_is_new_has_a_gradient(states, config, make_batch):
    state = states[-1]
    _, gradients, _ = loss_and_gradients(
        state.architecture, state.parameters, make_batch(config), SCHEDULE, jax.random.key(0)
    )
    learning = {path for path, gradient in gradients.items() if np.abs(gradient).max() > 0}
    assert learning == {path for path in gradients if is_new(path)}


def test_layers_keep_their_numbers_in_another_division():
    sizes = tiny_config(layers=4, cca_layers=(4,))
    paths = Architecture.of(SYSTEMS["transformer_xl"].build, sizes).parameter_sizes()
    other = replace(sizes, lower=3)
    moved = taken_over(dict.fromkeys(paths, jnp.zeros(())), sizes, other)
    assert {*moved} == {*Architecture.of(SYSTEMS["transformer_xl"].build, other).parameter_sizes()}
    one = {f"{half}.layers.{n}.a": jnp.array(2 * (half == "upper") + n) for half in HALVES for n in (0, 1)}
    assert {path: int(x) for path, x in taken_over(one, sizes, other).items()} == {
        "lower.layers.0.a": 0,
        "lower.layers.1.a": 1,
        "lower.layers.2.a": 2,
        "upper.layers.0.a": 3,
    }
    assert {*taken_over(taken_over(one, sizes, other), other, sizes)} == {*one}
