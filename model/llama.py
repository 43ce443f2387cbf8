"""Llama and its kin (Mistral, Qwen2, Qwen3) in JAX: pure functions over parameters stacked by layer, for
scoring.

Follows `LlamaForCausalLM`, `MistralForCausalLM`, `Qwen2ForCausalLM` and `Qwen3ForCausalLM` of Hugging Face
transformers; what they share with other decoders, and the letters of dimensions, are in causal_lm.py.
Normalisation is in float32 whatever the parameters' dtype.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from model import causal_lm
from model.causal_lm import Blocks, KeysValues, Params, Projected, Start, dense, heads, rotate
from model.llama_config import LlamaConfig


def shapes(config: LlamaConfig) -> Params:
    """The tree of parameters, each a float32 `jax.ShapeDtypeStruct`; kernels are [in, out], those of layers
    stacked in front.

    Biases, norms of heads and `embed_out` are there only if the configuration has them.
    """
    width, inner, size = config.hidden_size, config.intermediate_size, config.head_dim
    queries, keys = config.num_attention_heads * size, config.num_key_value_heads * size
    bias = config.query_key_value_bias
    norms = {"query_norm": _scale(config, size), "key_norm": _scale(config, size)} if config.qk_norm else {}
    head = {} if config.tie_word_embeddings else {"embed_out": _leaf(width, config.vocab_size)}
    return {
        "embed_in": _leaf(config.vocab_size, width),
        "layers": {
            "input_norm": _scale(config, width),
            "query": _linear(config, width, queries, bias),
            "key": _linear(config, width, keys, bias),
            "value": _linear(config, width, keys, bias),
            **norms,
            "output": _linear(config, queries, width, config.output_bias),
            "post_attention_norm": _scale(config, width),
            "gate": _linear(config, width, inner, config.mlp_bias),
            "up": _linear(config, width, inner, config.mlp_bias),
            "down": _linear(config, inner, width, config.mlp_bias),
        },
        "final_norm": {"scale": _leaf(width)},
        **head,
    }


def logits(params: Params, config: LlamaConfig, tokens_BL: jax.Array) -> jax.Array:
    """Next-token logits, float32 [B, L, V], of whole sequences.

    Raises:
        ValueError: if they are longer than attention sees.
    """
    config.check_length(tokens_BL.shape[1])
    return causal_lm.logits(BLOCKS, params, config, tokens_BL)


def prefix_keys_values(params: Params, config: LlamaConfig, prefixes_PT: jax.Array) -> KeysValues:
    """Keys and values of every layer for prefixes that start at position 0, as `causal_lm.prefix_keys_values`
    has them.

    Raises:
        ValueError: if they are longer than attention sees.
    """
    config.check_length(prefixes_PT.shape[1])
    return causal_lm.prefix_keys_values(BLOCKS, params, config, prefixes_PT)


def suffix_logprobs(
    params: Params, config: LlamaConfig, kv: KeysValues, prefix_index_n: jax.Array, suffix_nS: jax.Array
) -> jax.Array:
    """Log-probabilities in nats, float32 [n, S/2], of the target chunks of suffixes, as
    `causal_lm.suffix_logprobs` has them.

    Raises:
        ValueError: if prefix and suffix together are longer than attention sees.
    """
    config.check_length(kv.keys.shape[3] + suffix_nS.shape[1] - 1)
    return causal_lm.suffix_logprobs(BLOCKS, params, config, kv, prefix_index_n, suffix_nS)


def _leaf(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def _linear(config: LlamaConfig, fan_in: int, fan_out: int, bias: bool) -> Params:
    layers = config.num_hidden_layers
    return {"kernel": _leaf(layers, fan_in, fan_out)} | ({"bias": _leaf(layers, fan_out)} if bias else {})


def _scale(config: LlamaConfig, size: int) -> Params:
    return {"scale": _leaf(config.num_hidden_layers, size)}


def _queries_keys_values(layer: Params, config: LlamaConfig, x_BLD: jax.Array, start: Start) -> Projected:
    normed = _rms_norm(x_BLD, layer["input_norm"], config)
    queries, keys, values = (
        heads(dense(normed, layer[name]), config.head_dim) for name in ("query", "key", "value")
    )
    if config.qk_norm:
        queries, keys = (
            _rms_norm(queries, layer["query_norm"], config),
            _rms_norm(keys, layer["key_norm"], config),
        )
    frequencies = jnp.asarray(config.rope.frequencies(config.head_dim))
    return rotate(queries, frequencies, start), rotate(keys, frequencies, start), values


def _finish_layer(layer: Params, config: LlamaConfig, x_BLD: jax.Array, mixed_BLE: jax.Array) -> jax.Array:
    """Output projection of attention, then the gated feed-forward network."""
    x_BLD = x_BLD + dense(mixed_BLE, layer["output"])
    normed = _rms_norm(x_BLD, layer["post_attention_norm"], config)
    return x_BLD + dense(
        jax.nn.silu(dense(normed, layer["gate"])) * dense(normed, layer["up"]), layer["down"]
    )


def _rms_norm(x: jax.Array, norm: Params, config: LlamaConfig) -> jax.Array:
    wide = x.astype(jnp.float32)
    scale = lax.rsqrt(jnp.mean(jnp.square(wide), axis=-1, keepdims=True) + config.rms_norm_eps)
    return (wide * scale * norm["scale"]).astype(x.dtype)


def _head(params: Params, config: LlamaConfig, x_BLD: jax.Array) -> jax.Array:
    normed = _rms_norm(x_BLD, params["final_norm"], config)
    embed_out = params["embed_in"].T if config.tie_word_embeddings else params["embed_out"]
    return jnp.matmul(normed, embed_out, preferred_element_type=jnp.float32)


BLOCKS = Blocks(_queries_keys_values, _finish_layer, _head)
