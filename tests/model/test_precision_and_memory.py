"""Activations in bfloat16 and blocks computed twice: the same model in less memory, with everything that adds
up kept in float32.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.config import ModelConfig
from model.initialisation import initial_parameters
from model.language_model import Schedule
from model.optimizer import adabelief
from model.parameters import Architecture
from model.registry import SYSTEMS
from model.schedules import TrainingSchedule
from model.train_step import init_train_state, train_step
from tests.model.programs import loss_and_gradients
from tests.model.structures import BLOCKS
from tests.tiny import tiny_config

SCHEDULE = Schedule(1.5, 1e-2, 0.5)
OPTIMIZER = adabelief(1e-2)
BIG = tiny_config(
    vocabulary_size=4096,
    width=64,
    layers=8,
    heads=4,
    chunk_tokens=16,
    stride_chunks=4,
    cca_layers=(7, 8),
    gate_window=8,
)
KINDS = {"plain": {}, "recomputed": {"remat": True}, "half": {"dtype": "bfloat16"}}


@pytest.fixture(scope="module", params=BLOCKS)
def measured(request, make_batch) -> dict[str, tuple[float, dict[str, jax.Array]]]:
    """Loss and gradients of a system with every kind of block, with dropout: plain, recomputed, and in half
    precision.

    The lower decoder has two equal layers, which are one loop where they are recomputed, the upper one two
    different ones.
    """
    batch, found = make_batch(), {}
    for kind, changes in KINDS.items():
        config = tiny_config(layers=4, cca_layers=(4,), recurrent_layers=(4,), dropout=0.2, **changes)
        architecture = Architecture.of(SYSTEMS[request.param].build, config)
        parameters = initial_parameters(architecture, config, 0)
        found[kind] = loss_and_gradients(architecture, parameters, batch, SCHEDULE, jax.random.key(0))[:2]
    return found


def arrays_in(jaxpr):
    """Every array that a traced function makes, with those of its loops and calls."""
    for equation in jaxpr.eqns:
        yield from (variable.aval for variable in equation.outvars)
        for value in equation.params.values():
            if inner := getattr(value, "jaxpr", value if hasattr(value, "eqns") else None):
                yield from arrays_in(inner)


def test_recomputed_blocks_give_the_same_loss_and_gradients(measured):
    kept, recomputed = measured["plain"], measured["recomputed"]
    np.testing.assert_allclose(kept[0], recomputed[0], rtol=1e-6)
    for path in kept[1]:
        np.testing.assert_allclose(kept[1][path], recomputed[1][path], rtol=1e-4, atol=1e-6, err_msg=path)


def test_equal_recomputed_layers_are_traced_once(make_batch):
    """The traced step of a deep model has no more products than that of one with two layers of each kind;
    without a loop it has.
    """
    batch = make_batch(BIG, chunks=16)

    def products(layers: int, remat: bool) -> int:
        config = replace(
            BIG, layers=layers, cca_layers=tuple(range(layers // 2 + 1, layers + 1)), remat=remat
        )
        architecture = Architecture.of(SYSTEMS["rpt_sem"].build, config)

        def total(parameters):
            return sum(
                architecture.model(parameters).train_losses(batch, SCHEDULE, jax.random.key(0))[0].values()
            )

        parameters = {
            path: jax.ShapeDtypeStruct(size, "float32")
            for path, size in architecture.parameter_sizes().items()
        }
        return str(jax.make_jaxpr(jax.grad(total))(parameters)).count("dot_general")

    assert products(8, remat=True) == products(4, remat=True)
    assert products(8, remat=False) > 1.5 * products(4, remat=False)


def test_bfloat16_is_near_float32_and_gradients_stay_float32(measured):
    full, half = measured["plain"], measured["half"]
    assert abs(float(full[0]) - float(half[0])) < 0.02
    assert all(gradient.dtype == jnp.float32 for gradient in half[1].values())
    vectors = [
        np.concatenate([np.ravel(gradients[path]) for path in sorted(gradients)])
        for _, gradients in (full, half)
    ]
    cosine = vectors[0] @ vectors[1] / np.linalg.norm(vectors[0]) / np.linalg.norm(vectors[1])
    assert cosine > 0.99


def test_in_bfloat16_hidden_states_are_small_and_what_adds_up_is_not(make_batch, small):
    config = replace(small, dtype="bfloat16")
    architecture = Architecture.of(SYSTEMS["rpt_sem"].build, config)
    batch, parameters = make_batch(), initial_parameters(architecture, config, 0)
    encoded = jax.eval_shape(lambda p: architecture.model(p).encode(batch.tokens_BL), parameters)
    assert (encoded.hidden_BLD.dtype, encoded.chunks_BCMD.dtype) == (jnp.bfloat16, jnp.bfloat16)
    assert (encoded.queries_BCE.dtype, encoded.keys_BCE.dtype) == (jnp.float32, jnp.float32)

    def losses(p):
        model = architecture.model(p)
        encoded = model.encode(batch.tokens_BL)
        return model.token_losses(model.decode(encoded, model.retrieve(encoded)), batch.targets_BL)

    assert jax.eval_shape(losses, parameters).dtype == jnp.float32
    wide = [
        aval
        for aval in arrays_in(jax.make_jaxpr(losses)(parameters).jaxpr)
        if getattr(aval, "dtype", None) == jnp.bfloat16
    ]
    assert wide


def test_training_in_bfloat16_learns_a_repeated_batch(make_batch, two_layers):
    config = replace(two_layers, dtype="bfloat16", remat=True, zero_init_residuals=True)
    batch, schedule = make_batch(), TrainingSchedule(2.0, 1e-2, 0.1, 0.6)
    state, history = init_train_state(SYSTEMS["rpt_sem"], config, 0, OPTIMIZER), []
    for step in range(40):
        state, metrics = train_step(state, batch, schedule.at(step, 40), jax.random.key(step))
        history.append(float(metrics["lm_loss"]))
    assert history[-1] < 0.5 * history[0]
    leaves = jax.tree.leaves((state.parameters, state.optimizer_state))
    assert {leaf.dtype for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)} == {
        jnp.dtype("float32")
    }


def test_recomputed_blocks_keep_little_for_the_backward_pass(make_batch):
    """What a compiled program needs is no measure here: XLA's CPU backend does not put the second computation
    where it saves memory.
    """
    batch = make_batch(BIG, chunks=64)

    def kept_bytes(config: ModelConfig) -> int:
        architecture = Architecture.of(SYSTEMS["rpt_sem"].build, config)

        def total(parameters):
            return sum(
                architecture.model(parameters).train_losses(batch, SCHEDULE, jax.random.key(0))[0].values()
            )

        parameters = {
            path: jax.ShapeDtypeStruct(size, "float32")
            for path, size in architecture.parameter_sizes().items()
        }
        backward = jax.eval_shape(lambda parameters: jax.vjp(total, parameters)[1], parameters)
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(backward))

    plain = kept_bytes(BIG)
    assert kept_bytes(replace(BIG, remat=True)) < 0.5 * plain
    assert kept_bytes(replace(BIG, dtype="bfloat16")) < 0.8 * plain


def test_the_logits_of_all_tokens_never_exist_at_once(make_batch):
    config = replace(BIG, vocabulary_size=50_277)
    batch = make_batch(config, chunks=64)
    state = jax.eval_shape(lambda: init_train_state(SYSTEMS["rpt_sem"], config, 0, OPTIMIZER))
    jaxpr = jax.make_jaxpr(train_step)(
        state, batch, TrainingSchedule(2.0, 1e-2, 0.1, 0.6).at(0, 40), jax.random.key(0)
    )
    largest = max(
        aval.size
        for aval in arrays_in(jaxpr.jaxpr)
        if hasattr(aval, "size") and config.vocabulary_size in aval.shape
    )
    assert largest < batch.tokens_BL.size * config.vocabulary_size / 4


def test_float16_is_refused(small):
    with pytest.raises(ValueError, match="float16"):
        replace(small, dtype="float16")
