"""The encoder of a BERT from a Hugging Face directory, whatever head it was trained with: heads and pooler
are left where they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open

from model.baselines.bert import BertEncoder
from model.baselines.bert_config import BertConfig
from model.hugging_face_files import read_values, safetensors_files
from model.parameters import Architecture, Parameters

LAYER = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "expand": "intermediate.dense",
    "contract": "output.dense",
    "norm": "output.LayerNorm",
}
EMBEDDINGS = {
    "words": "word_embeddings",
    "positions": "position_embeddings",
    "types": "token_type_embeddings",
    "norm": "LayerNorm",
}
LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "table": "weight"}
OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
LEFT = ("cls.", "pooler.", "embeddings.position_ids")


def read_config(directory: Path) -> BertConfig:
    """Reads and checks `config.json`.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it describes a model that is not supported.
    """
    return BertConfig.from_dict(read_values(directory, "BERT"))


def load(directory: Path, config: BertConfig) -> Parameters:
    """The parameters of a `BertEncoder`, in float32.

    Raises:
        FileNotFoundError: if there are no safetensors.
        ValueError: if a tensor is missing, unknown or of another shape than `config` implies (it is named),
            or a file is damaged.
    """
    sizes = Architecture.of(BertEncoder, config).parameter_sizes()
    wanted = {tensor_name(path): path for path in sizes}
    parameters: Parameters = {}
    for file in safetensors_files(directory):
        for stored, value in _tensors(file):
            if (name := _current(stored)) not in wanted:
                raise ValueError(
                    f"{file} has a tensor {stored}, not of a BERT of this config.json; they do not belong"
                    " together"
                )
            path = wanted[name]
            if path in parameters:
                raise ValueError(
                    f"the tensor {stored} stands in {file} and in a file before it; remove what does not"
                    " belong there"
                )
            value = value.T if path.endswith("kernel") else value
            if value.shape != sizes[path]:
                raise ValueError(
                    f"tensor {stored} has shape {value.shape}, config.json implies {sizes[path]}; they do"
                    " not fit"
                )
            parameters[path] = jnp.asarray(value, jnp.float32)
    if missing := sorted(name for name, path in wanted.items() if path not in parameters):
        raise ValueError(
            f"{directory} lacks {len(missing)} of {len(wanted)} tensors, the first is {missing[0]}; download"
            " it again"
        )
    return parameters


def _tensors(file: Path) -> Iterator[tuple[str, np.ndarray]]:
    """The tensors of the encoder, as they are named there."""
    try:
        with safe_open(file, framework="numpy") as opened:
            for stored in opened.offset_keys():
                if not _current(stored).startswith(LEFT):
                    yield stored, opened.get_tensor(stored)
    except SafetensorError as error:
        raise ValueError(f"{file} cannot be read: {error}; download it again") from error


def tensor_name(path: str) -> str:
    """Under which name a parameter is stored."""
    *parts, leaf = path.split(".")
    if parts[0] == "layers":
        return f"encoder.layer.{parts[1]}.{LAYER[parts[2]]}.{LEAVES[leaf]}"
    return f"embeddings.{EMBEDDINGS[parts[0]]}.{LEAVES[leaf]}"


def _current(stored: str) -> str:
    """A tensor's name without that of the model around it, and as it is written today."""
    name = stored.removeprefix("bert.")
    for old, new in OLD_NAMES.items():
        name = name.replace(old, new)
    return name
