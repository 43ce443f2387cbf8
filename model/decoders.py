"""A reference LM of any family that is computed here: weights from a Hugging Face directory, and what scoring
asks of them.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import jax

from model import gpt2, gpt2_files, gpt_neox, gpt_neox_files, llama, llama_files, padded_suffixes
from model.causal_lm import KeysValues, Params
from model.decoder_config import DecoderConfig, read_config
from model.gpt2_config import GPT2Config
from model.gpt_neox_config import GPTNeoXConfig
from model.llama_config import LlamaConfig
from model.padded_suffixes import Suffixes

COMPUTED: dict[type, ModuleType] = {GPT2Config: gpt2, GPTNeoXConfig: gpt_neox, LlamaConfig: llama}
READ: dict[type, ModuleType] = {
    GPT2Config: gpt2_files,
    GPTNeoXConfig: gpt_neox_files,
    LlamaConfig: llama_files,
}


def load(directory: Path, dtype: str = "float32") -> tuple[DecoderConfig, Params]:
    """Reads a model, its parameters stacked by layer and cast to `dtype`.

    Raises:
        FileNotFoundError: if `config.json` or the safetensors are missing.
        ValueError: if the configuration is not supported, or a tensor is missing, unknown, doubled or of
            another shape (it is named).
    """
    return READ[type(read_config(directory))].load(directory, dtype)


def logits(params: Params, config: DecoderConfig, tokens_BL: jax.Array) -> jax.Array:
    """Next-token logits, float32 [B, L, V], of whole sequences.

    Raises:
        ValueError: if they are longer than the model reads.
    """
    return COMPUTED[type(config)].logits(params, config, tokens_BL)


def prefix_keys_values(params: Params, config: DecoderConfig, prefixes_PT: jax.Array) -> KeysValues:
    """Keys and values of every layer for prefixes that start at position 0, as `causal_lm.prefix_keys_values`
    has them.
    """
    return COMPUTED[type(config)].prefix_keys_values(params, config, prefixes_PT)


def suffix_logprobs(
    params: Params, config: DecoderConfig, kv: KeysValues, prefix_index_n: jax.Array, suffix_nS: jax.Array
) -> jax.Array:
    """Log-probabilities in nats, float32 [n, S/2], of the target chunks of suffixes, as
    `causal_lm.suffix_logprobs` has them.
    """
    return COMPUTED[type(config)].suffix_logprobs(params, config, kv, prefix_index_n, suffix_nS)


def target_logprobs(params: Params, config: DecoderConfig, kv: KeysValues, suffixes: Suffixes) -> jax.Array:
    """Log-probabilities in nats, float32 [n, T], of padded targets, as `padded_suffixes.target_logprobs` has
    them.
    """
    return padded_suffixes.target_logprobs(COMPUTED[type(config)].BLOCKS, params, config, kv, suffixes)
