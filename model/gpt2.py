"""GPT-2 in JAX: pure functions over parameters stacked by layer, for scoring.

Follows `GPT2LMHeadModel` of Hugging Face transformers; what it shares with other decoders, and the letters
of dimensions, are in causal_lm.py. A position has a learnt vector, which is added to the token's before the
first layer. Prefixes start at position 0 and suffixes where theirs ends, so that a shared prefix is what a
whole prompt begins with. Normalisation is in float32 whatever the parameters' dtype.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from model import causal_lm
from model.causal_lm import Blocks, KeysValues, Params, Projected, Start, dense, heads, layer_norm
from model.gpt2_config import GPT2Config


def shapes(config: GPT2Config) -> Params:
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
        "embed_positions": leaf(config.max_position_embeddings, width),
        "layers": {
            "input_norm": norm(layers, width),
            "query_key_value": linear(width, 3 * width),
            "output": linear(width, width),
            "post_attention_norm": norm(layers, width),
            "up": linear(width, inner),
            "down": linear(inner, width),
        },
        "final_norm": norm(width),
    }


def logits(params: Params, config: GPT2Config, tokens_BL: jax.Array) -> jax.Array:
    """Next-token logits, float32 [B, L, V], of whole sequences.

    Raises:
        ValueError: if they are longer than `n_positions`.
    """
    config.check_length(tokens_BL.shape[1])
    return causal_lm.logits(BLOCKS, params, config, tokens_BL)


def prefix_keys_values(params: Params, config: GPT2Config, prefixes_PT: jax.Array) -> KeysValues:
    """Keys and values of every layer for prefixes that start at position 0, as `causal_lm.prefix_keys_values`
    has them.

    Padding may stand behind the last learnt position; prefixes that are too long are refused with what
    follows them.
    """
    return causal_lm.prefix_keys_values(BLOCKS, params, config, prefixes_PT)


def suffix_logprobs(
    params: Params, config: GPT2Config, kv: KeysValues, prefix_index_n: jax.Array, suffix_nS: jax.Array
) -> jax.Array:
    """Log-probabilities in nats, float32 [n, S/2], of the target chunks of suffixes, as
    `causal_lm.suffix_logprobs` has them.

    Raises:
        ValueError: if prefix and suffix together are longer than `n_positions`.
    """
    config.check_length(kv.keys.shape[3] + suffix_nS.shape[1])
    return causal_lm.suffix_logprobs(BLOCKS, params, config, kv, prefix_index_n, suffix_nS)


def _embed(params: Params, config: GPT2Config, tokens_BL: jax.Array, start: Start) -> jax.Array:
    first = start if isinstance(start, int) else start[..., 0]
    places = first + jnp.arange(tokens_BL.shape[1])
    # only padding, which nothing real sees, stands before the first or behind the last position
    places = jnp.clip(places, 0, config.max_position_embeddings - 1)
    return params["embed_in"][tokens_BL] + params["embed_positions"][places]


def _queries_keys_values(layer: Params, config: GPT2Config, x_BLD: jax.Array, start: Start) -> Projected:
    normed = layer_norm(x_BLD, layer["input_norm"], config.layer_norm_eps)
    fused = jnp.split(dense(normed, layer["query_key_value"]), 3, axis=-1)
    queries, keys, values = (heads(part, config.head_size) for part in fused)
    return queries, keys, values


def _finish_layer(layer: Params, config: GPT2Config, x_BLD: jax.Array, mixed_BLD: jax.Array) -> jax.Array:
    """Output projection of attention, then the feed-forward network."""
    x_BLD = x_BLD + dense(mixed_BLD, layer["output"])
    hidden = dense(layer_norm(x_BLD, layer["post_attention_norm"], config.layer_norm_eps), layer["up"])
    return x_BLD + dense(jax.nn.gelu(hidden, approximate=True), layer["down"])


def _head(params: Params, config: GPT2Config, x_BLD: jax.Array) -> jax.Array:
    normed = layer_norm(x_BLD, params["final_norm"], config.layer_norm_eps)
    return jnp.matmul(normed, params["embed_in"].T, preferred_element_type=jnp.float32)


BLOCKS = Blocks(_queries_keys_values, _finish_layer, _head, _embed)
