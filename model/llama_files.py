"""A decoder of the Llama family from a Hugging Face directory: `config.json` and `model.safetensors` or its
shards.

Weights are read from safetensors alone (hugging_face_files.py).
"""

from __future__ import annotations

from pathlib import Path

from model.causal_lm import Params
from model.causal_lm_files import Names, check_tie, read_tensors, to_parameters
from model.hugging_face_files import read_values
from model.llama import shapes
from model.llama_config import LlamaConfig

LAYER = {
    "input_norm": "input_layernorm",
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "query_norm": "self_attn.q_norm",
    "key_norm": "self_attn.k_norm",
    "output": "self_attn.o_proj",
    "post_attention_norm": "post_attention_layernorm",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
OUTSIDE: Names = {
    ("embed_in",): (EMBEDDING, False),
    ("final_norm", "scale"): ("model.norm.weight", False),
    ("embed_out",): (HEAD, True),
}
LEAVES = {"kernel": ("weight", True), "scale": ("weight", False), "bias": ("bias", False)}
TENSORS: Names = {
    **OUTSIDE,
    **{
        ("layers", part, leaf): (f"model.layers.{{layer}}.{name}.{stored}", transposed)
        for part, name in LAYER.items()
        for leaf, (stored, transposed) in LEAVES.items()
    },
}
# Older checkpoints hold the frequencies of rotary positions, which follow from config.json.
CONSTANT_SUFFIX = ".rotary_emb.inv_freq"


def load(directory: Path, dtype: str = "float32") -> tuple[LlamaConfig, Params]:
    """Reads a model, its parameters stacked by layer and cast to `dtype`.

    Raises:
        FileNotFoundError: if `config.json` or the safetensors are missing.
        ValueError: if the configuration is not supported, or a tensor is missing, unknown, doubled or of
            another shape (it is named).
    """
    config = LlamaConfig.from_dict(read_values(directory, "reference LM"))
    abstract = shapes(config)
    tensors = read_tensors(
        directory, TENSORS, abstract, _current, {HEAD} if config.tie_word_embeddings else ()
    )
    if config.tie_word_embeddings:
        check_tie(tensors, HEAD, EMBEDDING)
    return config, to_parameters(TENSORS, abstract, tensors, dtype)


def _current(stored: str) -> str | None:
    return None if stored.endswith(CONSTANT_SUFFIX) else stored
