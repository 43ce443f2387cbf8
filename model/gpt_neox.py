"""GPT-NeoX in JAX: pure functions over parameters stacked by layer, for training the reference LM and for scoring with it.

Follows `GPTNeoXForCausalLM` of Hugging Face transformers. Dimensions: B sequences, L tokens, P prefixes, n pairs, T tokens of a
prefix, S tokens of a suffix, D width, H heads, K head size, V vocabulary. Normalisation, softmax and the accumulation of every
matrix product are in float32 whatever the parameters' dtype.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from model.gpt_neox_config import GPTNeoXConfig

Params = dict[str, Any]
MASKED = -1e30


class KeysValues(NamedTuple):
    """Rotated keys and values of prefixes, each [layers, P, H, T, K]."""

    keys: jax.Array
    values: jax.Array


def shapes(config: GPTNeoXConfig) -> Params:
    """The tree of parameters, each a float32 `jax.ShapeDtypeStruct`; kernels are [in, out], those of layers stacked in front."""
    layers, width, inner = config.num_hidden_layers, config.hidden_size, config.intermediate_size

    def leaf(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, jnp.float32)

    def dense(fan_in: int, fan_out: int) -> Params:
        return {"kernel": leaf(layers, fan_in, fan_out), "bias": leaf(layers, fan_out)}

    def norm(*shape: int) -> Params:
        return {"scale": leaf(*shape), "bias": leaf(*shape)}

    return {
        "embed_in": leaf(config.vocab_size, width),
        "layers": {
            "input_layernorm": norm(layers, width),
            "query_key_value": dense(width, 3 * width),
            "dense": dense(width, width),
            "post_attention_layernorm": norm(layers, width),
            "dense_h_to_4h": dense(width, inner),
            "dense_4h_to_h": dense(inner, width),
        },
        "final_layer_norm": norm(width),
        "embed_out": leaf(width, config.vocab_size),
    }


def init(config: GPTNeoXConfig, seed: int) -> Params:
    """Random parameters: normal weights of deviation `initializer_range`, zero biases, unit norms, as transformers does.

    Drawn by NumPy: compiling JAX's generator for each shape would take longer than a small model's first steps.
    """
    rng = np.random.default_rng(seed)

    def draw(path: tuple, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        if path[-1].key in ("scale", "bias"):
            return jnp.full(leaf.shape, float(path[-1].key == "scale"), leaf.dtype)
        return jnp.asarray(config.initializer_range * rng.standard_normal(leaf.shape, np.float32))

    return jax.tree_util.tree_map_with_path(draw, shapes(config))


def logits(params: Params, config: GPTNeoXConfig, tokens_BL: jax.Array) -> jax.Array:
    """Next-token logits, float32 [B, L, V], of whole sequences."""

    def step(x_BLD: jax.Array, layer: Params) -> tuple[jax.Array, None]:
        queries, keys, values = _queries_keys_values(layer, config, x_BLD, start=0)
        return _finish_layer(layer, config, x_BLD, _attend(queries, keys, values)), None

    x_BLD, _ = lax.scan(step, params["embed_in"][tokens_BL], params["layers"])
    return _head(params, config, x_BLD)


def loss(params: Params, config: GPTNeoXConfig, tokens_BL: jax.Array, mask_BL: jax.Array) -> jax.Array:
    """Mean nats per predicted token; `mask_BL` is 1 at the tokens whose prediction counts (token 0 is never predicted)."""
    log_probs = _log_probs_of(logits(params, config, tokens_BL[:, :-1]), tokens_BL[:, 1:])
    mask = mask_BL[:, 1:].astype(jnp.float32)
    return -jnp.sum(log_probs * mask) / jnp.maximum(jnp.sum(mask), 1.0)


def prefix_keys_values(params: Params, config: GPTNeoXConfig, prefixes_PT: jax.Array) -> KeysValues:
    """Keys and values of every layer for prefixes that start at position 0; the last layer goes no further than these."""
    last = config.num_hidden_layers - 1

    def step(x_PTD: jax.Array, index: jax.Array) -> tuple[jax.Array, KeysValues]:
        layer = _layer(params, index)
        queries, keys, values = _queries_keys_values(layer, config, x_PTD, start=0)
        return _finish_layer(layer, config, x_PTD, _attend(queries, keys, values)), KeysValues(keys, values)

    x_PTD, lower = lax.scan(step, params["embed_in"][prefixes_PT], jnp.arange(last))
    _, keys, values = _queries_keys_values(_layer(params, last), config, x_PTD, start=0)
    return KeysValues(jnp.concatenate([lower.keys, keys[None]]), jnp.concatenate([lower.values, values[None]]))


def suffix_logprobs(params: Params, config: GPTNeoXConfig, kv: KeysValues, prefix_index_n: jax.Array, suffix_nS: jax.Array) -> jax.Array:
    """Log-probabilities in nats, float32 [n, S/2], of the second half of each suffix after its prefix and its first half.

    A suffix is (c_q, c_t), the query chunk and the target chunk; `prefix_index_n` names the row of `kv` that precedes it. Only the
    hidden states that predict c_t pass the upper part of the last layer and the vocabulary head.
    """
    targets = suffix_nS.shape[1] // 2
    last = config.num_hidden_layers - 1

    def step(x_nSD: jax.Array, index: jax.Array | int, rows: int) -> tuple[jax.Array, None]:
        layer = _layer(params, index)
        queries, keys, values = _queries_keys_values(layer, config, x_nSD, start=kv.keys.shape[3])
        keys = jnp.concatenate([kv.keys[index, prefix_index_n], keys], axis=2)
        values = jnp.concatenate([kv.values[index, prefix_index_n], values], axis=2)
        return _finish_layer(layer, config, x_nSD[:, -rows:], _attend(queries[:, :, -rows:], keys, values)), None

    inputs = suffix_nS[:, :-1]
    x_nSD, _ = lax.scan(partial(step, rows=inputs.shape[1]), params["embed_in"][inputs], jnp.arange(last))
    x_nSD, _ = step(x_nSD, last, rows=targets)
    return _log_probs_of(_head(params, config, x_nSD), suffix_nS[:, targets:])


def _layer(params: Params, index: jax.Array | int) -> Params:
    return jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, index, keepdims=False), params["layers"])


def _queries_keys_values(layer: Params, config: GPTNeoXConfig, x_BLD: jax.Array, start: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Rotated queries, rotated keys and values, each [B, H, L, K], of tokens at positions start, start + 1, ..."""
    batch, length, _ = x_BLD.shape
    fused = _dense(_layer_norm(x_BLD, layer["input_layernorm"], config), layer["query_key_value"])
    fused = fused.reshape(batch, length, config.num_attention_heads, 3, config.head_size)
    queries, keys, values = (fused[:, :, :, part].swapaxes(1, 2) for part in range(3))
    return _rotate(queries, config, start), _rotate(keys, config, start), values


def _rotate(x_BHLK: jax.Array, config: GPTNeoXConfig, start: int) -> jax.Array:
    """Rotary position embedding of the first `rotary_size` dimensions, in half-split layout."""
    size = config.rotary_size
    frequencies = config.rotary_emb_base ** (-jnp.arange(0, size, 2, dtype=jnp.float32) / size)
    angles = (start + jnp.arange(x_BHLK.shape[2], dtype=jnp.float32))[:, None] * frequencies
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    first, second = x_BHLK[..., : size // 2].astype(jnp.float32), x_BHLK[..., size // 2 : size].astype(jnp.float32)
    rotated = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return jnp.concatenate([rotated.astype(x_BHLK.dtype), x_BHLK[..., size:]], axis=-1)


def _attend(queries_BHQK: jax.Array, keys_BHTK: jax.Array, values_BHTK: jax.Array) -> jax.Array:
    """Causal attention of the last Q of T positions, heads joined: [B, Q, D]. The division comes last, on Q x K numbers, not Q x T."""
    rows, length = queries_BHQK.shape[2], keys_BHTK.shape[2]
    causal_QT = jnp.tril(jnp.ones((rows, length), bool), k=length - rows)
    scores = jnp.einsum("bhqk,bhtk->bhqt", queries_BHQK, keys_BHTK, preferred_element_type=jnp.float32)
    scores = jnp.where(causal_QT, scores * queries_BHQK.shape[-1] ** -0.5, MASKED)
    weights = jnp.exp(scores - lax.stop_gradient(jnp.max(scores, axis=-1, keepdims=True)))
    mixed = jnp.einsum("bhqt,bhtk->bhqk", weights.astype(values_BHTK.dtype), values_BHTK, preferred_element_type=jnp.float32)
    mixed = mixed / jnp.sum(weights, axis=-1, keepdims=True)
    return mixed.swapaxes(1, 2).reshape(mixed.shape[0], rows, -1).astype(values_BHTK.dtype)


def _finish_layer(layer: Params, config: GPTNeoXConfig, x_BLD: jax.Array, mixed_BLD: jax.Array) -> jax.Array:
    """Output projection of attention and the feed-forward network, side by side or one after the other."""
    attended = _dense(mixed_BLD, layer["dense"])
    base = x_BLD if config.use_parallel_residual else x_BLD + attended
    hidden = _dense(_layer_norm(base, layer["post_attention_layernorm"], config), layer["dense_h_to_4h"])
    fed = _dense(jax.nn.gelu(hidden, approximate=False), layer["dense_4h_to_h"])
    return fed + attended + x_BLD


def _layer_norm(x: jax.Array, norm: Params, config: GPTNeoXConfig) -> jax.Array:
    wide = x.astype(jnp.float32)
    centred = wide - jnp.mean(wide, axis=-1, keepdims=True)
    scale = lax.rsqrt(jnp.mean(jnp.square(centred), axis=-1, keepdims=True) + config.layer_norm_eps)
    return (centred * scale * norm["scale"] + norm["bias"]).astype(x.dtype)


def _dense(x: jax.Array, layer: Params) -> jax.Array:
    return (jnp.matmul(x, layer["kernel"], preferred_element_type=jnp.float32) + layer["bias"]).astype(x.dtype)


def _head(params: Params, config: GPTNeoXConfig, x_BLD: jax.Array) -> jax.Array:
    normed = _layer_norm(x_BLD, params["final_layer_norm"], config)
    return jnp.matmul(normed, params["embed_out"], preferred_element_type=jnp.float32)


def _log_probs_of(logits_BLV: jax.Array, tokens_BL: jax.Array) -> jax.Array:
    chosen = jnp.take_along_axis(logits_BLV, tokens_BL[..., None], axis=-1)[..., 0]
    return chosen - jax.nn.logsumexp(logits_BLV, axis=-1)
