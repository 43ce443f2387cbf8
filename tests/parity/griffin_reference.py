"""Griffin's recurrent block as `recurrentgemma` 1.0.1 of its authors computes it (JAX, float32)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from recurrentgemma.common import TemporalBlockType
from recurrentgemma.jax.modules import RecurrentBlock, RecurrentBlockCache, ResidualBlock

PACKAGE, SEED = "recurrentgemma 1.0.1", 0
ROWS, TOKENS, SECOND_DOCUMENT = 2, 24, 10
WIDTH, INNER, HEADS, TAPS = 16, 32, 4, 3

Arrays = dict[str, np.ndarray]


def arrays() -> Arrays:
    """Parameters under the names of the restatement, input, positions, and outputs.

    The second row holds two documents. `out` and `residual_out` (with its norm and the sum) are of one call;
    `stepped_out` of a call for each token, with the cache emptied where a document begins, for the package
    keeps documents apart within one call only.
    """
    rng = np.random.default_rng(SEED)
    drawn = _parameters(rng)
    x_BLD = jnp.asarray(rng.normal(size=(ROWS, TOKENS, WIDTH)), jnp.float32)
    positions_BL = jnp.tile(jnp.arange(TOKENS), (ROWS, 1)).at[1, SECOND_DOCUMENT:].add(-SECOND_DOCUMENT)
    block = RecurrentBlock(width=WIDTH, num_heads=HEADS, lru_width=INNER, conv1d_temporal_width=TAPS)
    variables = _variables(drawn)
    out, cache = block.apply({"params": variables}, x_BLD, positions_BL)
    residual = ResidualBlock(
        width=WIDTH,
        mlp_expanded_width=0,
        num_heads=HEADS,
        attention_window_size=0,
        temporal_block_type=TemporalBlockType.RECURRENT,
        lru_width=INNER,
        conv1d_temporal_width=TAPS,
        use_mlp=False,
    )
    norm = {"scale": drawn["norm_scale"] - 1.0}
    residual_out, _ = residual.apply(
        {"params": {"temporal_pre_norm": norm, "recurrent_block": variables}}, x_BLD, positions_BL
    )
    made = {
        "x_BLD": x_BLD,
        "positions_BL": positions_BL,
        "out_BLD": out,
        "hidden_BR": cache.rg_lru_state,
        "inputs_BTR": cache.conv1d_state,
        "stepped_out_BLD": _stepped(block, variables, x_BLD, positions_BL),
        "residual_out_BLD": residual_out,
    }
    return {**drawn, **{name: np.asarray(value) for name, value in made.items()}}


def _parameters(rng: np.random.Generator) -> Arrays:
    """Of a size that lets every one of them matter; the recurrence remembers between one and some hundred
    tokens.
    """
    gate = (HEADS, INNER // HEADS, INNER // HEADS)
    kernels = {
        "y": (WIDTH, INNER),
        "x": (WIDTH, INNER),
        "out": (INNER, WIDTH),
        "input_gate": gate,
        "recurrence_gate": gate,
    }
    drawn = {f"{name}_kernel": rng.normal(size=shape) / np.sqrt(shape[-2]) for name, shape in kernels.items()}
    biases = {name: (*shape[:-2], shape[-1]) for name, shape in kernels.items()} | {"conv": (INNER,)}
    drawn |= {f"{name}_bias": 0.3 * rng.normal(size=shape) for name, shape in biases.items()}
    drawn |= {
        "conv_kernel": rng.normal(size=(TAPS, INNER)) / np.sqrt(TAPS),
        "decay": rng.uniform(-6, 0, INNER),
    }
    drawn |= {"norm_scale": rng.uniform(0.5, 1.5, WIDTH)}
    return {name: value.astype(np.float32) for name, value in drawn.items()}


def _variables(drawn: Arrays) -> dict[str, Any]:
    """The same under the package's names."""
    linear = {
        f"linear_{name}": {"kernel": drawn[f"{name}_kernel"], "bias": drawn[f"{name}_bias"]}
        for name in ("y", "x", "out")
    }
    gates = {"input_gate": "input_gate", "a_gate": "recurrence_gate"}
    lru = {
        theirs: {"w": drawn[f"{ours}_kernel"], "b": drawn[f"{ours}_bias"]} for theirs, ours in gates.items()
    }
    return {
        **linear,
        "conv_1d": {"w": drawn["conv_kernel"], "b": drawn["conv_bias"]},
        "rg_lru": {"a_param": drawn["decay"], **lru},
    }


def _stepped(
    block: RecurrentBlock, variables: dict[str, Any], x_BLD: jax.Array, positions_BL: jax.Array
) -> jax.Array:
    empty = block.init_cache(len(x_BLD), INNER, jnp.float32, TAPS)
    cache, out = empty, []
    for token in range(x_BLD.shape[1]):
        begins = positions_BL[:, token] == 0
        cache = RecurrentBlockCache(
            jnp.where(begins[:, None], empty.rg_lru_state, cache.rg_lru_state),
            jnp.where(begins[:, None, None], empty.conv1d_state, cache.conv1d_state),
        )
        y, cache = block.apply(
            {"params": variables}, x_BLD[:, token : token + 1], positions_BL[:, token : token + 1], cache
        )
        out.append(y)
    return jnp.concatenate(out, axis=1)
