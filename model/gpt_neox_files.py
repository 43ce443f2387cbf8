"""A GPT-NeoX model as a Hugging Face directory: `config.json`, `model.safetensors` (or its shards) and
`tokenizer.json`.

Weights are read from safetensors alone (hugging_face_files.py).
"""

from __future__ import annotations

import json
from pathlib import Path

from model.causal_lm_files import read_tensors, to_parameters, to_tensors
from model.gpt_neox import Params, shapes
from model.gpt_neox_config import GPTNeoXConfig
from model.hugging_face_files import read_values
from model.tensor_file import save_tensors

TENSORS: dict[tuple[str, ...], tuple[str, bool]] = {
    ("embed_in",): ("gpt_neox.embed_in.weight", False),
    ("final_layer_norm", "scale"): ("gpt_neox.final_layer_norm.weight", False),
    ("final_layer_norm", "bias"): ("gpt_neox.final_layer_norm.bias", False),
    ("embed_out",): ("embed_out.weight", True),
}
for _norm in ("input_layernorm", "post_attention_layernorm"):
    TENSORS["layers", _norm, "scale"] = f"gpt_neox.layers.{{layer}}.{_norm}.weight", False
    TENSORS["layers", _norm, "bias"] = f"gpt_neox.layers.{{layer}}.{_norm}.bias", False
for _dense in ("attention.query_key_value", "attention.dense", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h"):
    TENSORS["layers", _dense.split(".")[1], "kernel"] = f"gpt_neox.layers.{{layer}}.{_dense}.weight", True
    TENSORS["layers", _dense.split(".")[1], "bias"] = f"gpt_neox.layers.{{layer}}.{_dense}.bias", False
# Buffers of older checkpoints that hold constants: the causal mask, its fill value and the rotary
# frequencies.
CONSTANT_SUFFIXES = (".attention.bias", ".attention.masked_bias", ".attention.rotary_emb.inv_freq")


def save(directory: Path, config: GPTNeoXConfig, params: Params) -> None:
    """Writes `config.json` and a float32 `model.safetensors` under the tensor names of Hugging Face; the
    caller adds `tokenizer.json`.

    The rows of `query_key_value` run over [heads, 3, head size].
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(
        json.dumps({**config.to_dict(), "dtype": "float32"}, indent=2, sort_keys=True) + "\n"
    )
    save_tensors(to_tensors(TENSORS, params), directory / "model.safetensors", {"format": "pt"})


def load(directory: Path, dtype: str = "float32") -> tuple[GPTNeoXConfig, Params]:
    """Reads a model, its parameters stacked by layer and cast to `dtype`.

    Raises:
        FileNotFoundError: if `config.json` or the safetensors are missing.
        ValueError: if the configuration is not supported, or a tensor is missing, unknown, doubled or of
            another shape (it is named).
    """
    config = GPTNeoXConfig.from_dict(read_values(directory, "reference LM"))
    abstract = shapes(config)
    tensors = read_tensors(directory, TENSORS, abstract, _current)
    return config, to_parameters(TENSORS, abstract, tensors, dtype)


def _current(stored: str) -> str | None:
    # transformers 5 calls the head lm_head in memory; a state dict dumped from there keeps that name
    return (
        None
        if stored.endswith(CONSTANT_SUFFIXES)
        else "embed_out.weight"
        if stored == "lm_head.weight"
        else stored
    )
