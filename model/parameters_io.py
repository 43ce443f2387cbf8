"""All parameters of a model as one flat safetensors file, keyed by dotted path."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
from jax import Array
from safetensors.numpy import load_file

from model.config import ModelConfig
from model.language_model import LanguageModel
from model.parameters import Architecture, Parameters
from model.system import System
from model.tensor_file import save_tensors


def save_parameters(parameters: dict[str, Array], path: Path) -> None:
    """Write `path`; the file's bytes depend on the parameters alone."""
    save_tensors(parameters, path)


def load_model(path: Path, system: System, config: ModelConfig) -> LanguageModel:
    """The system with the parameters of `path`; raises like `load_parameters`."""
    architecture = Architecture.of(system.build, config)
    return architecture.model(load_parameters(path, system.name, architecture.parameter_sizes()))


def load_parameters(path: Path, name: str, expected: dict[str, tuple[int, ...]]) -> Parameters:
    """The parameters of `path`, which are those of `name`.

    Raises:
        ValueError: the file lacks a parameter that is expected, has one too many, or one of another size.
    """
    tensors = load_file(path)
    missing, extra = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    wrong = [
        f"{key} {tensors[key].shape} instead of {size}"
        for key, size in expected.items()
        if key in tensors and tensors[key].shape != size
    ]
    if missing or extra or wrong:
        raise ValueError(
            f"{path} does not hold the parameters of {name}: missing {missing or 'none'}; not expected"
            f" {extra or 'none'}; of another size {wrong or 'none'}: load it with the system and"
            " configuration it was trained with"
        )
    return {key: jnp.asarray(value) for key, value in tensors.items()}
