"""GPT-NeoX in JAX: pure functions over parameters stacked by layer, for training the reference LM and for
scoring with it.

Follows `GPTNeoXForCausalLM` of Hugging Face transformers; what it shares with other decoders, and the letters
of dimensions, are in causal_lm.py. Normalisation is in float32 whatever the parameters' dtype.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from model import causal_lm
from model.causal_lm import (
    Blocks,
    KeysValues,
    Params,
    Projected,
    Start,
    dense,
    layer_norm,
    log_probs_of,
    rotate,
)
from model.gpt_neox_config import GPTNeoXConfig


def shapes(config: GPTNeoXConfig) -> Params:
    """The tree of parameters, each a float32 `jax.ShapeDtypeStruct`; kernels are [in, out], those of layers
    stacked in front.
    """
    layers, width, inner = config.num_hidden_layers, config.hidden_size, config.intermediate_size

    def leaf(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, jnp.float32)

    def linear(fan_in: int, fan_out: int) -> Params:
        return {"kernel": leaf(layers, fan_in, fan_out), "bias": leaf(layers, fan_out)}

    def norm(*shape: int) -> Params:
        return {"scale": leaf(*shape), "bias": leaf(*shape)}

    return {
        "embed_in": leaf(config.vocab_size, width),
        "layers": {
            "input_layernorm": norm(layers, width),
            "query_key_value": linear(width, 3 * width),
            "dense": linear(width, width),
            "post_attention_layernorm": norm(layers, width),
            "dense_h_to_4h": linear(width, inner),
            "dense_4h_to_h": linear(inner, width),
        },
        "final_layer_norm": norm(width),
        "embed_out": leaf(width, config.vocab_size),
    }


def init(config: GPTNeoXConfig, seed: int) -> Params:
    """Random parameters: normal weights of deviation `initializer_range`, zero biases, unit norms, as
    transformers does.

    Drawn by NumPy: compiling JAX's generator for each shape would take longer than a small model's first
    steps.
    """
    rng = np.random.default_rng(seed)

    def draw(path: tuple, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        if path[-1].key in ("scale", "bias"):
            return jnp.full(leaf.shape, float(path[-1].key == "scale"), leaf.dtype)
        return jnp.asarray(config.initializer_range * rng.standard_normal(leaf.shape, np.float32))

    return jax.tree_util.tree_map_with_path(draw, shapes(config))


def logits(params: Params, config: GPTNeoXConfig, tokens_BL: jax.Array) -> jax.Array:
    """Next-token logits, float32 [B, L, V], of whole sequences."""
    return causal_lm.logits(BLOCKS, params, config, tokens_BL)


def loss(params: Params, config: GPTNeoXConfig, tokens_BL: jax.Array, mask_BL: jax.Array) -> jax.Array:
    """Mean nats per predicted token; `mask_BL` is 1 at the tokens whose prediction counts (token 0 is never
    predicted).
    """
    log_probs = log_probs_of(logits(params, config, tokens_BL[:, :-1]), tokens_BL[:, 1:])
    mask = mask_BL[:, 1:].astype(jnp.float32)
    return -jnp.sum(log_probs * mask) / jnp.maximum(jnp.sum(mask), 1.0)


def prefix_keys_values(params: Params, config: GPTNeoXConfig, prefixes_PT: jax.Array) -> KeysValues:
    """Keys and values of every layer for prefixes that start at position 0, as `causal_lm.prefix_keys_values`
    has them.
    """
    return causal_lm.prefix_keys_values(BLOCKS, params, config, prefixes_PT)


def suffix_logprobs(
    params: Params, config: GPTNeoXConfig, kv: KeysValues, prefix_index_n: jax.Array, suffix_nS: jax.Array
) -> jax.Array:
    """Log-probabilities in nats, float32 [n, S/2], of the target chunks of suffixes, as
    `causal_lm.suffix_logprobs` has them.
    """
    return causal_lm.suffix_logprobs(BLOCKS, params, config, kv, prefix_index_n, suffix_nS)


def _queries_keys_values(layer: Params, config: GPTNeoXConfig, x_BLD: jax.Array, start: Start) -> Projected:
    batch, length, _ = x_BLD.shape
    fused = dense(
        layer_norm(x_BLD, layer["input_layernorm"], config.layer_norm_eps), layer["query_key_value"]
    )
    fused = fused.reshape(batch, length, config.num_attention_heads, 3, config.head_size)
    queries, keys, values = (fused[:, :, :, part].swapaxes(1, 2) for part in range(3))
    frequencies = config.rotary_emb_base ** (
        -jnp.arange(0, config.rotary_size, 2, dtype=jnp.float32) / config.rotary_size
    )
    return rotate(queries, frequencies, start), rotate(keys, frequencies, start), values


def _finish_layer(layer: Params, config: GPTNeoXConfig, x_BLD: jax.Array, mixed_BLD: jax.Array) -> jax.Array:
    """Output projection of attention and the feed-forward network, side by side or one after the other."""
    attended = dense(mixed_BLD, layer["dense"])
    base = x_BLD if config.use_parallel_residual else x_BLD + attended
    normed = layer_norm(base, layer["post_attention_layernorm"], config.layer_norm_eps)
    hidden = dense(normed, layer["dense_h_to_4h"])
    fed = dense(jax.nn.gelu(hidden, approximate=False), layer["dense_4h_to_h"])
    return fed + attended + x_BLD


def _head(params: Params, config: GPTNeoXConfig, x_BLD: jax.Array) -> jax.Array:
    normed = layer_norm(x_BLD, params["final_layer_norm"], config.layer_norm_eps)
    return jnp.matmul(normed, params["embed_out"], preferred_element_type=jnp.float32)


BLOCKS = Blocks(_queries_keys_values, _finish_layer, _head)
