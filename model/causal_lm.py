"""What decoder-only LMs have in common in JAX: pure functions over parameters stacked by layer, and the
scoring of shared prefixes.

Families (gpt2.py, gpt_neox.py, llama.py) give their `Blocks`, parameters with `embed_in` and `layers`, and a
configuration. Dimensions: B sequences, L tokens, P prefixes, n pairs, T tokens of a prefix, S tokens of a
suffix, D width, H heads, G heads of keys and values, K head size, V vocabulary. Softmax and the accumulation
of every matrix product are in float32 whatever the parameters' dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

Params = dict[str, Any]
Projected = tuple[jax.Array, jax.Array, jax.Array]
Start = int | jax.Array
MASKED = -1e30


class KeysValues(NamedTuple):
    """Rotated keys and values of prefixes, each [layers, P, G, T, K]."""

    keys: jax.Array
    values: jax.Array


def _embed_tokens(params: Params, config: Any, tokens_BL: jax.Array, start: Start) -> jax.Array:
    """Embeddings alone: where layers rotate by position, nothing else says where a token stands."""
    return params["embed_in"][tokens_BL]


class Blocks(NamedTuple):
    """What a family computes in its own way.

    Attributes:
        queries_keys_values: (layer, config, x_BLD, start) -> rotated queries [B, H, L, K], rotated keys and
            values [B, G, L, K] of tokens at positions start, start + 1, ...; `start` is one number, or int
            [B, 1, 1], one a row.
        finish_layer: (layer, config, x_BLD, mixed [B, L, H * K]) -> x_BLD after the layer.
        head: (params, config, x_BLD) -> logits, float32 [B, L, V].
        embed: (params, config, tokens_BL, start) -> x_BLD that enters the first layer.
    """

    queries_keys_values: Callable[[Params, Any, jax.Array, Start], Projected]
    finish_layer: Callable[[Params, Any, jax.Array, jax.Array], jax.Array]
    head: Callable[[Params, Any, jax.Array], jax.Array]
    embed: Callable[[Params, Any, jax.Array, Start], jax.Array] = _embed_tokens


def logits(blocks: Blocks, params: Params, config: Any, tokens_BL: jax.Array) -> jax.Array:
    """Next-token logits, float32 [B, L, V], of whole sequences."""

    def step(x_BLD: jax.Array, layer: Params) -> tuple[jax.Array, None]:
        queries, keys, values = blocks.queries_keys_values(layer, config, x_BLD, 0)
        return blocks.finish_layer(layer, config, x_BLD, attend(queries, keys, values)), None

    x_BLD, _ = lax.scan(step, blocks.embed(params, config, tokens_BL, 0), params["layers"])
    return blocks.head(params, config, x_BLD)


def prefix_keys_values(blocks: Blocks, params: Params, config: Any, prefixes_PT: jax.Array) -> KeysValues:
    """Keys and values of every layer for prefixes that start at position 0; the last layer goes no further
    than these.
    """
    last = config.num_hidden_layers - 1

    def step(x_PTD: jax.Array, index: jax.Array) -> tuple[jax.Array, KeysValues]:
        layer = layer_of(params, index)
        queries, keys, values = blocks.queries_keys_values(layer, config, x_PTD, 0)
        return blocks.finish_layer(layer, config, x_PTD, attend(queries, keys, values)), KeysValues(
            keys, values
        )

    x_PTD, lower = lax.scan(step, blocks.embed(params, config, prefixes_PT, 0), jnp.arange(last))
    _, keys, values = blocks.queries_keys_values(layer_of(params, last), config, x_PTD, 0)
    return KeysValues(
        jnp.concatenate([lower.keys, keys[None]]), jnp.concatenate([lower.values, values[None]])
    )


def suffix_logprobs(
    blocks: Blocks,
    params: Params,
    config: Any,
    kv: KeysValues,
    prefix_index_n: jax.Array,
    suffix_nS: jax.Array,
) -> jax.Array:
    """Log-probabilities in nats, float32 [n, S/2], of the second half of each suffix after its prefix and its
    first half.

    A suffix is (c_q, c_t), the query chunk and the target chunk; `prefix_index_n` names the row of `kv` that
    precedes it. Only the hidden states that predict c_t pass the upper part of the last layer and the
    vocabulary head.
    """
    targets = suffix_nS.shape[1] // 2
    last = config.num_hidden_layers - 1

    def step(x_nSD: jax.Array, index: jax.Array | int, rows: int) -> tuple[jax.Array, None]:
        layer = layer_of(params, index)
        queries, keys, values = blocks.queries_keys_values(layer, config, x_nSD, kv.keys.shape[3])
        keys = jnp.concatenate([kv.keys[index, prefix_index_n], keys], axis=2)
        values = jnp.concatenate([kv.values[index, prefix_index_n], values], axis=2)
        return (
            blocks.finish_layer(layer, config, x_nSD[:, -rows:], attend(queries[:, :, -rows:], keys, values)),
            None,
        )

    x_nSD = blocks.embed(params, config, suffix_nS[:, :-1], kv.keys.shape[3])
    x_nSD, _ = lax.scan(partial(step, rows=x_nSD.shape[1]), x_nSD, jnp.arange(last))
    x_nSD, _ = step(x_nSD, last, rows=targets)
    return log_probs_of(blocks.head(params, config, x_nSD), suffix_nS[:, targets:])


def attend(queries_BHQK: jax.Array, keys_BGTK: jax.Array, values_BGTK: jax.Array) -> jax.Array:
    """Causal attention of the last Q of T positions, heads joined: [B, Q, H * K].

    Head h reads the keys and values of group h // (H / G).
    """
    rows, length = queries_BHQK.shape[2], keys_BGTK.shape[2]
    return attend_where(
        jnp.tril(jnp.ones((rows, length), bool), k=length - rows), queries_BHQK, keys_BGTK, values_BGTK
    )


def attend_where(
    seen: jax.Array, queries_BHQK: jax.Array, keys_BGTK: jax.Array, values_BGTK: jax.Array
) -> jax.Array:
    """Attention as in `attend`, of each query to the keys that it has `seen`: bool [Q, T], or [B, 1, Q, T]
    where rows differ.

    The division comes last, on Q x K numbers, not Q x T.
    """
    batch, heads, rows, size = queries_BHQK.shape
    groups = keys_BGTK.shape[1]
    # heads of a group as further rows of one product, so that no key is written out once a head
    queries = queries_BHQK.reshape(batch, groups, heads // groups * rows, size)
    seen = jnp.tile(seen, (heads // groups, 1))
    scores = jnp.einsum("bhqk,bhtk->bhqt", queries, keys_BGTK, preferred_element_type=jnp.float32)
    scores = jnp.where(seen, scores * size**-0.5, MASKED)
    weights = jnp.exp(scores - lax.stop_gradient(jnp.max(scores, axis=-1, keepdims=True)))
    mixed = jnp.einsum(
        "bhqt,bhtk->bhqk", weights.astype(values_BGTK.dtype), values_BGTK, preferred_element_type=jnp.float32
    )
    mixed = (mixed / jnp.sum(weights, axis=-1, keepdims=True)).reshape(batch, heads, rows, size)
    return mixed.swapaxes(1, 2).reshape(batch, rows, -1).astype(values_BGTK.dtype)


def rotate(x_BHLK: jax.Array, frequencies: jax.Array, start: Start) -> jax.Array:
    """Rotary position embedding in half-split layout, of as many leading dimensions of a head as there are
    pairs of `frequencies`.
    """
    size = 2 * len(frequencies)
    angles = (start + jnp.arange(x_BHLK.shape[2], dtype=jnp.float32))[..., None] * frequencies
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    first, second = (
        x_BHLK[..., : size // 2].astype(jnp.float32),
        x_BHLK[..., size // 2 : size].astype(jnp.float32),
    )
    rotated = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return jnp.concatenate([rotated.astype(x_BHLK.dtype), x_BHLK[..., size:]], axis=-1)


def dense(x: jax.Array, layer: Params) -> jax.Array:
    """x `kernel`, plus `bias` where the layer has one, in the dtype of x."""
    product = jnp.matmul(x, layer["kernel"], preferred_element_type=jnp.float32)
    return (product + layer["bias"] if "bias" in layer else product).astype(x.dtype)


def heads(x_BLE: jax.Array, size: int) -> jax.Array:
    """[B, heads, L, size] of heads that lie side by side."""
    return x_BLE.reshape(*x_BLE.shape[:2], -1, size).swapaxes(1, 2)


def layer_norm(x: jax.Array, norm: Params, epsilon: float) -> jax.Array:
    """Layer normalisation over the last axis with `scale` and `bias`, in float32, in the dtype of x."""
    wide = x.astype(jnp.float32)
    centred = wide - jnp.mean(wide, axis=-1, keepdims=True)
    scale = lax.rsqrt(jnp.mean(jnp.square(centred), axis=-1, keepdims=True) + epsilon)
    return (centred * scale * norm["scale"] + norm["bias"]).astype(x.dtype)


def log_probs_of(logits_BLV: jax.Array, tokens_BL: jax.Array) -> jax.Array:
    """Log-probabilities in nats, [B, L], that logits give to tokens."""
    chosen = jnp.take_along_axis(logits_BLV, tokens_BL[..., None], axis=-1)[..., 0]
    return chosen - jax.nn.logsumexp(logits_BLV, axis=-1)


def layer_of(params: Params, index: jax.Array | int) -> Params:
    """The parameters of one layer."""
    return jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, index, keepdims=False), params["layers"])
