"""A GPT-NeoX model as a Hugging Face directory: `config.json`, `model.safetensors` (or its shards) and `tokenizer.json`.

Weights are read from safetensors alone (hugging_face_files.py).
"""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from model.gpt_neox import Params, shapes
from model.gpt_neox_config import GPTNeoXConfig
from model.hugging_face_files import read_values, safetensors_files

# Path in the parameters -> (tensor name, whether it is stored transposed: kernels here are [in, out], there [out, in]).
TENSORS = {
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
# Buffers of older checkpoints that hold constants: the causal mask, its fill value and the rotary frequencies.
CONSTANT_SUFFIXES = (".attention.bias", ".attention.masked_bias", ".attention.rotary_emb.inv_freq")


def save(directory: Path, config: GPTNeoXConfig, params: Params) -> None:
    """Writes `config.json` and a float32 `model.safetensors` under the tensor names of Hugging Face; the caller adds `tokenizer.json`.

    The rows of `query_key_value` run over [heads, 3, head size].
    """
    tensors = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        for name, layer in _names(path, leaf.shape):
            value = np.asarray(leaf if layer is None else leaf[layer], np.float32)
            tensors[name] = np.ascontiguousarray(value.T if _transposed(path) else value)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps({**config.to_dict(), "dtype": "float32"}, indent=2, sort_keys=True) + "\n")
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})


def load(directory: Path, dtype: str = "float32") -> tuple[GPTNeoXConfig, Params]:
    """Reads a model, its parameters stacked by layer and cast to `dtype`.

    Raises:
        FileNotFoundError: if `config.json` or the safetensors are missing.
        ValueError: if the configuration is not supported, or a tensor is missing, unknown or of another shape (it is named).
    """
    config = read_config(directory)
    abstract = shapes(config)
    wanted = {name for path, leaf in jax.tree_util.tree_leaves_with_path(abstract) for name, _ in _names(path, leaf.shape)}
    tensors = _read_tensors(directory, wanted)

    def assemble(path: tuple, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        names = _names(path, leaf.shape)
        shape = leaf.shape[1:] if names[0][1] is not None else leaf.shape
        parts = [_checked(name, tensors[name].T if _transposed(path) else tensors[name], shape) for name, _ in names]
        return jnp.asarray(np.stack(parts).reshape(leaf.shape), dtype)

    return config, jax.tree_util.tree_map_with_path(assemble, abstract)


def read_config(directory: Path) -> GPTNeoXConfig:
    """Reads and checks `config.json`.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it describes a model that is not supported.
    """
    return GPTNeoXConfig.from_dict(read_values(directory, "reference LM"))


def _names(path: tuple, shape: tuple[int, ...]) -> list[tuple[str, int | None]]:
    """Tensor names behind one stacked parameter, each with its layer (None outside the layers)."""
    name, _ = TENSORS[tuple(key.key for key in path)]
    return [(name.format(layer=layer), layer) for layer in range(shape[0])] if "{layer}" in name else [(name, None)]


def _transposed(path: tuple) -> bool:
    return TENSORS[tuple(key.key for key in path)][1]


def _read_tensors(directory: Path, wanted: set[str]) -> dict[str, np.ndarray]:
    tensors: dict[str, np.ndarray] = {}
    for file in safetensors_files(directory):
        with safe_open(file, framework="numpy") as opened:
            for name in opened.offset_keys():
                # transformers 5 calls the head lm_head in memory; a state dict dumped from there keeps that name
                known = "embed_out.weight" if name == "lm_head.weight" else name
                if known in wanted:
                    tensors[known] = opened.get_tensor(name)
                elif not known.endswith(CONSTANT_SUFFIXES):
                    raise ValueError(f"{file} has a tensor {name} that this config.json does not use; the two do not belong together")
    missing = sorted(wanted - tensors.keys())
    if missing:
        raise ValueError(f"{directory} lacks {len(missing)} of {len(wanted)} tensors, the first is {missing[0]}; download it again")
    return tensors


def _checked(name: str, value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if value.shape != shape:
        raise ValueError(f"tensor {name} has shape {value.shape} as [in, out], config.json implies {shape}; the two do not belong together")
    return value
