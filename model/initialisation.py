"""First values of the parameters, a function of the seed and of each parameter's path alone."""

from __future__ import annotations

import zlib

import jax
import jax.numpy as jnp
from jax import Array

from model.config import ModelConfig
from model.copying_values import with_copying_values
from model.parameters import Architecture, Parameters

SCALE = 0.64
RESIDUAL_OUTPUTS = ("attention.output.kernel", "recurrence.output.kernel", "feed_forward.contract.kernel")
RANDOM = ("kernel", "table", "null_key", "null_value", "initial_state", "state_positions", "convolution")
KEYS, PAIRS = "retriever.key_projection.kernel", "retriever.pairs.pair_weights"
RADII = (0.9, 0.999)  # of Griffin's recurrence: uniform in the ring between them, as in its official code


def drawn(
    architecture: Architecture, width: int, root: Array, zero_init_residuals: bool = False
) -> Parameters:
    """Kernels, embedding and null pairs N(0, 0.64^2 / width), norms 1, biases 0; output of residual branches
    0 if `zero_init_residuals`.

    At the paper's width of 1024 the standard deviation is the official code's 0.02 (its null pairs have
    0.0001); a fixed 0.02 starves narrow models of signal.
    """
    return {
        path: _initial(path, size, root, width, zero_init_residuals)
        for path, size in architecture.parameter_sizes().items()
    }


def initial_parameters(architecture: Architecture, config: ModelConfig, seed: int) -> Parameters:
    """What all systems begin as but for rows in the form of other code: `drawn`, and where `config.copying`
    says so, some parameters as `with_copying_values` has them. Systems that have a parameter under the same
    path start from the same bits, which makes their comparison fair.

    With `config.lexical_start` or weighed pairs the retriever's keys begin at zero, so that its scores begin
    as the lexical ones, or as zero.
    """
    root = jax.random.key(seed)
    values = drawn(architecture, config.width, root, config.zero_init_residuals)
    if KEYS in values and (config.lexical_start or PAIRS in values):
        values[KEYS] = jnp.zeros_like(values[KEYS])
    return (
        with_copying_values(values, config, jax.random.fold_in(root, zlib.crc32(b"copying")))
        if config.copying
        else values
    )


def _initial(path: str, size: tuple[int, ...], root: Array, width: int, zero_init_residuals: bool) -> Array:
    name = path.rpartition(".")[2]
    if name.endswith("scale"):
        return jnp.ones(size)
    key = jax.random.fold_in(root, zlib.crc32(path.encode()))
    if name == "decay":
        square = jax.random.uniform(key, size, minval=RADII[0] ** 2, maxval=RADII[1] ** 2)
        return jnp.log(jnp.expm1(-0.5 * jnp.log(square)))
    if name.endswith(("bias", "pair_weights")) or (zero_init_residuals and path.endswith(RESIDUAL_OUTPUTS)):
        return jnp.zeros(size)
    if name not in RANDOM:
        raise ValueError(
            f"parameter {path} has no rule for its first value: known names are *scale, *bias, pair_weights,"
            f" decay, {', '.join(RANDOM)}"
        )
    return SCALE * width**-0.5 * jax.random.normal(key, size)
