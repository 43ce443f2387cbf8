"""A reference LM of any family that is computed here: weights from a Hugging Face directory, and what scoring
asks of them.
"""

from __future__ import annotations

from pathlib import Path

import jax

from model import gpt_neox, gpt_neox_files, llama, llama_files, padded_suffixes
from model.causal_lm import KeysValues, Params
from model.decoder_config import DecoderConfig, read_config
from model.llama_config import LlamaConfig
from model.padded_suffixes import Suffixes


def load(directory: Path, dtype: str = "float32") -> tuple[DecoderConfig, Params]:
    """Reads a model, its parameters stacked by layer and cast to `dtype`.

    Raises:
        FileNotFoundError: if `config.json` or the safetensors are missing.
        ValueError: if the configuration is not supported, or a tensor is missing, unknown, doubled or of
            another shape (it is named).
    """
    files = llama_files if isinstance(read_config(directory), LlamaConfig) else gpt_neox_files
    return files.load(directory, dtype)


def prefix_keys_values(params: Params, config: DecoderConfig, prefixes_PT: jax.Array) -> KeysValues:
    """Keys and values of every layer for prefixes that start at position 0, as `causal_lm.prefix_keys_values`
    has them.
    """
    if isinstance(config, LlamaConfig):
        return llama.prefix_keys_values(params, config, prefixes_PT)
    return gpt_neox.prefix_keys_values(params, config, prefixes_PT)


def suffix_logprobs(
    params: Params, config: DecoderConfig, kv: KeysValues, prefix_index_n: jax.Array, suffix_nS: jax.Array
) -> jax.Array:
    """Log-probabilities in nats, float32 [n, S/2], of the target chunks of suffixes, as
    `causal_lm.suffix_logprobs` has them.
    """
    if isinstance(config, LlamaConfig):
        return llama.suffix_logprobs(params, config, kv, prefix_index_n, suffix_nS)
    return gpt_neox.suffix_logprobs(params, config, kv, prefix_index_n, suffix_nS)


def target_logprobs(params: Params, config: DecoderConfig, kv: KeysValues, suffixes: Suffixes) -> jax.Array:
    """Log-probabilities in nats, float32 [n, T], of padded targets, as `padded_suffixes.target_logprobs` has
    them.
    """
    blocks = llama.BLOCKS if isinstance(config, LlamaConfig) else gpt_neox.BLOCKS
    return padded_suffixes.target_logprobs(blocks, params, config, kv, suffixes)
