"""Models whose parameters are kept in float16, half the bytes of float32, and computed with in float32."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from safetensors.numpy import load_file

from data_contracts.failure import Exit, Failure
from model.language_model import LanguageModel
from model.tensor_file import save_tensors
from stages.training.systems import load_trained


def halve(source: Path, target: Path) -> None:
    """Write the parameters of `source` to `target`, rounded to float16.

    Raises:
        Failure: (exit code 3) if one is too large for float16.
    """
    tensors, most = load_file(source), float(np.finfo(np.float16).max)
    for name, value in tensors.items():
        if (largest := float(np.abs(value).max(initial=0.0))) > most:
            cause, remedy = f"{largest:g} is over {most:g}, the most of float16", "keep the file in float32"
            raise Failure(f"{name} in {source}", cause, remedy, Exit.CONTRACT)
    save_tensors({name: value.astype(np.float16) for name, value in tensors.items()}, target)


def load_in_float32(directory: Path) -> LanguageModel:
    """The model of a folder with `config.json` and `model.safetensors`, its parameters in float32 whatever
    the file has.
    """
    model = load_trained(directory, json.loads((directory / "config.json").read_text()))
    graph, state = nnx.split(model)
    return nnx.merge(graph, jax.tree.map(lambda value: value.astype(jnp.float32), state))
