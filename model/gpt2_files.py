"""A GPT-2 from a Hugging Face directory: `config.json` and `model.safetensors` or its shards.

Weights are read from safetensors alone (hugging_face_files.py).
"""

from __future__ import annotations

from pathlib import Path

from model.causal_lm import Params
from model.causal_lm_files import Names, check_tie, read_tensors, to_parameters
from model.gpt2 import shapes
from model.gpt2_config import GPT2Config
from model.hugging_face_files import read_values

ROOT = "transformer."
LAYER = {
    "input_norm": ("ln_1", "scale"),
    "query_key_value": ("attn.c_attn", "kernel"),
    "output": ("attn.c_proj", "kernel"),
    "post_attention_norm": ("ln_2", "scale"),
    "up": ("mlp.c_fc", "kernel"),
    "down": ("mlp.c_proj", "kernel"),
}
EMBEDDING, HEAD = f"{ROOT}wte.weight", "lm_head.weight"
# Kernels are stored as [in, out], unlike those of other families.
TENSORS: Names = {
    ("embed_in",): (EMBEDDING, False),
    ("embed_positions",): (f"{ROOT}wpe.weight", False),
    ("final_norm", "scale"): (f"{ROOT}ln_f.weight", False),
    ("final_norm", "bias"): (f"{ROOT}ln_f.bias", False),
    **{
        ("layers", part, leaf): (f"{ROOT}h.{{layer}}.{name}.{stored}", False)
        for part, (name, weight) in LAYER.items()
        for leaf, stored in ((weight, "weight"), ("bias", "bias"))
    },
}
# Buffers of older checkpoints: the causal mask and its fill value.
CONSTANT_SUFFIXES = (".attn.bias", ".attn.masked_bias")


def load(directory: Path, dtype: str = "float32") -> tuple[GPT2Config, Params]:
    """Reads a model, its parameters stacked by layer and cast to `dtype`.

    Raises:
        FileNotFoundError: if `config.json` or the safetensors are missing.
        ValueError: if the configuration is not supported, or a tensor is missing, unknown, doubled or of
            another shape (it is named).
    """
    config = GPT2Config.from_dict(read_values(directory, "reference LM"))
    abstract = shapes(config)
    tensors = read_tensors(directory, TENSORS, abstract, _current, {HEAD})
    check_tie(tensors, HEAD, EMBEDDING)
    return config, to_parameters(TENSORS, abstract, tensors, dtype)


def _current(stored: str) -> str | None:
    """Published checkpoints hold the model without its head, whose tensors have no prefix."""
    if stored.endswith(CONSTANT_SUFFIXES):
        return None
    return stored if stored == HEAD or stored.startswith(ROOT) else f"{ROOT}{stored}"
