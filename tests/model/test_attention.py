import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.attention import attend
from model.rotary import rotate
from model.sliding_window import sliding_window_attention


def heads(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


@jax.jit
def dense(q: jax.Array, k: jax.Array, v: jax.Array, visible: np.ndarray) -> jax.Array:
    logits = jnp.where(visible, jnp.einsum("bqhk,bthk->bhqt", q, k) / np.sqrt(q.shape[-1]), -jnp.inf)
    return jnp.einsum("bhqt,bthk->bqhk", jax.nn.softmax(logits, axis=-1), v)


@pytest.mark.parametrize("strides", [1, 2, 5])
def test_sliding_window_is_dense_attention_with_a_mask(strides: int) -> None:
    stride, batch = 4, 2
    q, k, v = (heads(seed, batch, strides * stride, 2, 6) for seed in range(3))
    position = np.arange(strides * stride)
    visible = (position <= position[:, None]) & (position // stride >= position[:, None] // stride - 1)
    turn = jax.jit(lambda x: rotate(x, jnp.asarray(position)))
    windowed = jax.jit(lambda q, k, v: sliding_window_attention(q, k, v, stride))
    np.testing.assert_allclose(windowed(q, k, v), dense(turn(q), turn(k), v, visible), atol=2e-6)


def test_sliding_window_costs_the_same_for_every_token() -> None:
    def flops(length: int) -> float:
        q = heads(0, 1, length, 2, 6)
        return jax.jit(lambda q: sliding_window_attention(q, q, q, 8)).lower(q).cost_analysis()["flops"]

    assert flops(512) < 2.1 * flops(256)


def test_null_pair_is_one_more_key() -> None:
    q, k, v = heads(0, 2, 3, 2, 6), heads(1, 2, 5, 2, 6), heads(2, 2, 5, 2, 6)
    null_key, null_value = heads(3, 2, 6), heads(4, 2, 6)

    def append(x: jax.Array, null: jax.Array) -> jax.Array:
        return jnp.concatenate((x, jnp.broadcast_to(null, (2, 1, 2, 6))), axis=1)

    expected = dense(q, append(k, null_key), append(v, null_value), np.ones((3, 6), bool))
    out = jax.jit(lambda q, k, v: attend(q, k, v, null=(null_key, null_value)))(q, k, v)
    np.testing.assert_allclose(out, expected, atol=1e-6)


def test_what_sees_nothing_gets_the_null_value() -> None:
    q, k, null = heads(0, 1, 3, 2, 6), heads(1, 1, 5, 2, 6), (heads(3, 2, 6), heads(4, 2, 6))
    out = attend(q, k, k, visible=jnp.zeros((1, 1, 1, 5), bool), null=null)
    np.testing.assert_allclose(out, jnp.broadcast_to(null[1], out.shape), rtol=1e-6)


def test_dropout_keeps_the_mean_and_needs_a_key() -> None:
    q, k = heads(0, 1, 1, 1, 4), heads(1, 1, 64, 1, 4)
    plain = attend(q, k, k, rate=0.5)
    np.testing.assert_array_equal(plain, attend(q, k, k))
    dropped = jax.vmap(lambda key: attend(q, k, k, rate=0.5, key=key))(
        jax.random.split(jax.random.key(5), 2000)
    )
    assert jnp.std(dropped) > 0
    np.testing.assert_allclose(jnp.mean(dropped, axis=0), plain, atol=0.05)
