"""Log-probabilities of targets after prefixes and queries that all have lengths of their own, in arrays of
one shape.

A prefix is padded at its end, a query at its beginning, a target at its end. So a query and its target meet
at the same column in every row, and the positions that predict targets are one slice. Padding is never seen
by what is real, and positions count real tokens alone. Dimensions are those of causal_lm.py; Q and T are the
padded lengths of queries and targets.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from model.causal_lm import Blocks, KeysValues, Params, attend_where, layer_of, log_probs_of


class Suffixes(NamedTuple):
    """What follows the prefixes of n pairs.

    Attributes:
        prefix_index_n: the row of the keys and values that precedes each.
        prefix_lengths_n: real tokens of that row, which are its first.
        queries_nQ: tokens of queries, the real ones last.
        query_lengths_n: how many are real, at least one.
        targets_nT: tokens of targets, the real ones first.
    """

    prefix_index_n: jax.Array
    prefix_lengths_n: jax.Array
    queries_nQ: jax.Array
    query_lengths_n: jax.Array
    targets_nT: jax.Array


def target_logprobs(
    blocks: Blocks, params: Params, config: Any, kv: KeysValues, suffixes: Suffixes
) -> jax.Array:
    """Log-probabilities in nats, float32 [n, T], of the tokens of each target after its prefix and its query;
    what padding gets means nothing."""
    targets, last = suffixes.targets_nT.shape[1], config.num_hidden_layers - 1
    inputs = jnp.concatenate([suffixes.queries_nQ, suffixes.targets_nT], axis=1)[:, :-1]
    padding_n = suffixes.queries_nQ.shape[1] - suffixes.query_lengths_n
    start = (suffixes.prefix_lengths_n - padding_n)[:, None, None]
    seen = _seen(kv.keys.shape[3], inputs.shape[1], suffixes.prefix_lengths_n, padding_n)

    def step(x_nSD: jax.Array, index: jax.Array | int, rows: int) -> tuple[jax.Array, None]:
        layer = layer_of(params, index)
        queries, keys, values = blocks.queries_keys_values(layer, config, x_nSD, start)
        keys = jnp.concatenate([kv.keys[index, suffixes.prefix_index_n], keys], axis=2)
        values = jnp.concatenate([kv.values[index, suffixes.prefix_index_n], values], axis=2)
        mixed = attend_where(seen[:, :, -rows:], queries[:, :, -rows:], keys, values)
        return blocks.finish_layer(layer, config, x_nSD[:, -rows:], mixed), None

    x_nSD = blocks.embed(params, config, inputs, start)
    x_nSD, _ = lax.scan(partial(step, rows=inputs.shape[1]), x_nSD, jnp.arange(last))
    x_nSD, _ = step(x_nSD, last, rows=targets)
    return log_probs_of(blocks.head(params, config, x_nSD), suffixes.targets_nT)


def _seen(prefix: int, suffix: int, prefix_lengths_n: jax.Array, padding_n: jax.Array) -> jax.Array:
    """bool [n, 1, S, P + S]: the real tokens of the prefix, and what is real and not later in query and
    target.
    """
    in_prefix_nP = jnp.arange(prefix) < prefix_lengths_n[:, None]
    in_suffix_nSS = (
        jnp.tril(jnp.ones((suffix, suffix), bool)) & (jnp.arange(suffix) >= padding_n[:, None])[:, None]
    )
    before_nSP = jnp.broadcast_to(in_prefix_nP[:, None], (len(padding_n), suffix, prefix))
    return jnp.concatenate([before_nSP, in_suffix_nSS], axis=2)[:, None]
