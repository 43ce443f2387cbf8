"""Small decoders as `transformers` 5.24.0 computes them (PyTorch on a CPU, float32), with the `config.json`
that it writes for them.
"""

from __future__ import annotations

import numpy as np
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

PACKAGE, SEED = "transformers 5.24.0", 0
TOKENS = 80
SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 256,
}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}
FAMILIES: dict[str, PreTrainedConfig] = {
    "LlamaForCausalLM": LlamaConfig(
        **SIZES, **HEADS, attention_bias=True, mlp_bias=True, rope_parameters=LLAMA3
    ),
    "MistralForCausalLM": MistralConfig(**SIZES, **{**HEADS, "num_key_value_heads": 1}, sliding_window=None),
    "Qwen2ForCausalLM": Qwen2Config(
        **SIZES,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=True,
        rope_parameters=LINEAR,
    ),
    "Qwen3ForCausalLM": Qwen3Config(**SIZES, **{**HEADS, "num_attention_heads": 3, "num_key_value_heads": 3}),
    "GPTNeoXForCausalLM": GPTNeoXConfig(
        **SIZES,
        num_attention_heads=2,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
    ),
    # last, since all weights are drawn from one sequence of random numbers
    "GPT2LMHeadModel": GPT2Config(
        vocab_size=40, n_positions=96, n_embd=16, n_layer=2, n_head=2, n_inner=24, tie_word_embeddings=True
    ),
}

Arrays = dict[str, np.ndarray]


def arrays() -> Arrays:
    """Token ids, and for each architecture ARCHITECTURE.config (JSON as bytes), ARCHITECTURE.tensor.NAME and
    its logits of the tokens.
    """
    rng = np.random.default_rng(SEED)
    tokens_L = rng.integers(0, SIZES["vocab_size"], TOKENS)
    found: Arrays = {"tokens_L": tokens_L}
    for architecture, config in FAMILIES.items():
        config.architectures = [architecture]
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
        drawn = {name: _drawn(name, tuple(value.shape), rng) for name, value in model.state_dict().items()}
        if config.tie_word_embeddings:
            del drawn["lm_head.weight"]
        model.load_state_dict(
            {name: torch.tensor(value) for name, value in drawn.items()},
            strict=not config.tie_word_embeddings,
        )
        model.tie_weights()
        with torch.no_grad():
            logits_LV = model(torch.tensor(tokens_L)[None]).logits[0].numpy()
        found[f"{architecture}.config"] = np.frombuffer(
            config.to_json_string(use_diff=False).encode(), np.uint8
        )
        found |= {f"{architecture}.tensor.{name}": value for name, value in drawn.items()}
        found[f"{architecture}.logits_LV"] = logits_LV
    return found


def _drawn(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Of a size that lets every one of them matter, in steps that compress well."""
    if ("norm" in name or ".ln_" in name) and name.endswith("weight"):
        value = rng.uniform(0.5, 1.5, shape)
    else:
        value = (0.3 if name.endswith("bias") else 1.5 * shape[-1] ** -0.5) * rng.normal(size=shape)
    return (np.round(64 * value) / 64).astype(np.float32)
