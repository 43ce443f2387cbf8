from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.attention import attend
from model.baselines.memorizing import MemorizingAttention, bucketed, exact


@pytest.fixture(scope="module")
def attention(make_model, small) -> MemorizingAttention:
    """The layer with a memory of 32 strides of 8 tokens, its gates at 0.27 and 0.73."""
    layer = make_model("memorizing_32k", scale=3.0).upper.layers[0].attention
    layer.memory_bias[...] = jnp.array([-1.0, 1.0])
    return layer


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    """[2, L, D]: six strides."""
    return np.random.default_rng(0).normal(size=(2, 48, 16)).astype(np.float32)


def attention_to_all(attention: MemorizingAttention, x: jax.Array) -> jax.Array:
    """The layer's output where every stride reads all of the tokens before it."""
    local, strides = attention.attend_locally(x, None, None), []
    gate = jax.nn.sigmoid(attention.memory_bias[...])[:, None]
    for begin in range(0, x.shape[1], 8):
        own = slice(begin, begin + 8)
        mixed = local.mixed_BLHK[:, own]
        if begin:
            dense = attend(
                local.queries_BLHK[:, own], local.keys_BLHK[:, :begin], local.values_BLHK[:, :begin]
            )
            mixed = (1 - gate) * mixed + gate * dense
        strides.append(mixed)
    return attention.merge(jnp.concatenate(strides, axis=1))


def test_of_all_that_is_in_the_memory_it_is_attention_to_all_of_it(attention, x):
    """With fewer than 128 tokens before it, a stride reads every one of them."""
    out, _ = jax.jit(lambda x: attention(x))(x)
    np.testing.assert_allclose(out, jax.jit(partial(attention_to_all, attention))(x), rtol=0, atol=1e-5)


def test_what_is_remembered_is_the_last_tokens_of_each_document(attention, x):
    run, state = jax.jit(lambda x, past: attention(x, past)), attention.start(2)
    for _ in range(6):
        _, state = run(x, state)
    assert state.held_B.tolist() == [256, 256], "288 were read, 256 fit"
    keys, _ = jax.jit(lambda x: attention.keys_and_values(x))(np.tile(x, (1, 6, 1)))
    np.testing.assert_allclose(state.keys_BTHK, keys[:, -256:], rtol=0, atol=1e-5)
    _, anew = run(x, attention.start(2))
    assert anew.held_B.tolist() == [48, 48]


def test_no_gradient_reaches_the_memory(attention, x):
    """The first two strides are out of the last one's window: it reads them, and teaches them nothing."""

    def last(x):
        return jnp.sum(attention(x)[0][:, 40:] ** 2)

    changed, run = x.copy(), jax.jit(jax.value_and_grad(last))
    changed[:, :8] += 1.0
    (before, gradient), (after, _) = run(x), run(changed)
    assert abs(after - before) > 1e-2
    assert not gradient[:, :32].any()
    assert np.abs(gradient[:, 32:]).min(axis=(0, 2)).max() > 0


def test_buckets_keep_the_best_and_find_two_thirds_of_the_rest():
    """Of random scores a share 1 - 1/e of the 128 best is the best of its bucket."""
    scores = np.random.default_rng(0).normal(size=(2, 4, 16, 32_768)).astype(np.float32)
    best, found = np.asarray(exact(scores, 128)), np.asarray(bucketed(scores, 128))
    assert (found % 128 == np.arange(128)).all()
    kept = (best[..., :, None] == found[..., None, :]).any(axis=-1)
    assert kept[..., 0].all()
    assert kept.mean() == pytest.approx(1 - np.exp(-1), abs=0.02)


def test_buckets_need_not_divide_the_memory():
    scores = np.random.default_rng(1).normal(size=(1, 1, 3, 30)).astype(np.float32)
    found = np.asarray(bucketed(scores, 8))
    expected = [
        [max(range(first, 30, 8), key=lambda place, row=row: row[place]) for first in range(8)]
        for row in scores[0, 0]
    ]
    assert found[0, 0].tolist() == expected
