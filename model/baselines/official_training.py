"""How google-research/meliad trains its decoder (official_decoder.py): first values and Adafactor.

Its rate falls by a cosine to a tenth, as ours; its warm-up, 1,000 of 100,000 steps, is `training.warmup`
here.
"""

from __future__ import annotations

import zlib

import jax
import jax.numpy as jnp
import optax
from jax import Array

from model.baselines.official_decoder import BUCKETS
from model.config import ModelConfig
from model.parameters import Architecture, Parameters

DEVIATIONS = {"initial_state": 0.1, "gate_bias": 0.1}


def adafactor(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    """Adafactor (Shazeer and Stern, arXiv 1804.04235) with momentum 0.9; a step is relative to a parameter's
    root mean square.
    """
    return optax.adafactor(learning_rate, momentum=0.9)


def official_parameters(architecture: Architecture, config: ModelConfig, seed: int) -> Parameters:
    """First values, a function of the seed and of each parameter's path alone; `config.zero_init_residuals`
    does not matter.

    Kernels are normal, cut at two deviations, with variance one over the number of their inputs; the
    embedding and the positions of states are N(0, 1), biases of distances N(0, 1 / 32), initial states and
    the bias of their gate N(0, 0.1^2); scales 1, the gate of a memory 0.
    """
    root = jax.random.key(seed)
    sizes = architecture.parameter_sizes()
    return {
        path: _first(path, size, jax.random.fold_in(root, zlib.crc32(path.encode())))
        for path, size in sizes.items()
    }


def _first(path: str, size: tuple[int, ...], key: Array) -> Array:
    name = path.rpartition(".")[2]
    if name.endswith("scale"):
        return jnp.ones(size)
    if name == "memory_bias":
        return jnp.zeros(size)
    if name == "kernel":
        return jax.nn.initializers.lecun_normal()(key, size)
    deviation = BUCKETS**-0.5 if path.endswith("distances.table") else DEVIATIONS.get(name, 1.0)
    return deviation * jax.random.normal(key, size)
