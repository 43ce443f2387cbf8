"""Scores prompts of any lengths in a few shapes: what is shorter is padded to the next power of two.

Pairs with prefixes, and with queries and targets, of one padded length go together. A larger shape has fewer
rows, so that the memory of a step does not grow with its length. A shape depends on the pair alone and never
on its company, so the bits of a score do neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from model.causal_lm import KeysValues, Params
from model.decoder_config import DecoderConfig
from model.decoders import prefix_keys_values, target_logprobs
from model.padded_suffixes import Suffixes
from stages.engines.scoring_lm import Pieces, lengths

SHORTEST = 64  # finer shapes would be compiled for longer than they save


class StepSizes(NamedTuple):
    """Tokens, with padding, of the prefixes that are held at once, and of the targets of one step."""

    prefix_tokens: int
    target_tokens: int


def padded_lengths(tokens: np.ndarray) -> np.ndarray:
    """The next powers of two, from `SHORTEST` on, of some numbers of tokens."""
    return np.maximum(SHORTEST, 1 << np.ceil(np.log2(np.maximum(tokens, 1))).astype(np.int64))


def dispatch(
    params: Params, config: DecoderConfig, pieces: Pieces, sizes: StepSizes
) -> Iterator[tuple[np.ndarray, jax.Array]]:
    """Starts one batch after another: the places of its pairs, and their sums over the halves of the target,
    with padding at the end.
    """
    prefix_n, suffix_n = pieces.pairs_n2.T
    prefix_shape_n = padded_lengths(lengths(pieces.prefixes))[prefix_n]
    suffix_shape_n = padded_lengths(np.maximum(lengths(pieces.queries), lengths(pieces.targets)))[suffix_n]
    for prefix_shape in np.unique(prefix_shape_n):
        used, rows = (
            np.unique(prefix_n[prefix_shape_n == prefix_shape]),
            max(1, sizes.prefix_tokens // int(prefix_shape)),
        )
        for first in range(0, len(used), rows):
            window = used[first : first + rows]
            kv = prefixes_of(
                params, config, [pieces.prefixes[row] for row in _resized(window, rows)], int(prefix_shape)
            )
            inside = np.flatnonzero(np.isin(prefix_n, window))
            for suffix_shape in np.unique(suffix_shape_n[inside]):
                at, pairs = (
                    inside[suffix_shape_n[inside] == suffix_shape],
                    max(1, sizes.target_tokens // int(suffix_shape)),
                )
                for start in range(0, len(at), pairs):
                    batch = at[start : start + pairs]
                    chosen = _resized(batch, pairs)
                    places = np.searchsorted(window, prefix_n[chosen])
                    target_lengths = lengths([pieces.targets[row] for row in suffix_n[chosen]]).astype(
                        np.int32
                    )
                    yield (
                        batch,
                        _half_sums(
                            params,
                            config,
                            kv,
                            padded(pieces, chosen, places, int(suffix_shape)),
                            target_lengths,
                        ),
                    )


def prefixes_of(
    params: Params, config: DecoderConfig, prefixes: Sequence[np.ndarray], shape: int
) -> KeysValues:
    """Keys and values of prefixes padded to `shape` tokens."""
    return _compiled_prefixes(params, config, np.stack([_right_padded(prefix, shape) for prefix in prefixes]))


def padded(pieces: Pieces, pairs: np.ndarray, places: np.ndarray, shape: int) -> Suffixes:
    """Queries and targets of some pairs, each padded to `shape` tokens; `places` are the rows of their
    prefixes' keys and values.
    """
    prefixes = [pieces.prefixes[row] for row in pieces.pairs_n2[pairs, 0]]
    queries, targets = (
        [rows[row] for row in pieces.pairs_n2[pairs, 1]] for rows in (pieces.queries, pieces.targets)
    )
    return Suffixes(
        jnp.asarray(places, np.int32),
        jnp.asarray(lengths(prefixes), np.int32),
        jnp.asarray([_right_padded(query[::-1], shape)[::-1] for query in queries]),
        jnp.asarray(lengths(queries), np.int32),
        jnp.asarray([_right_padded(target, shape) for target in targets]),
    )


_compiled_prefixes = jax.jit(prefix_keys_values, static_argnums=1)
compiled_logprobs = jax.jit(target_logprobs, static_argnums=1)


@partial(jax.jit, static_argnums=1)
def _half_sums(
    params: Params, config: DecoderConfig, kv: KeysValues, suffixes: Suffixes, target_lengths_n: jax.Array
) -> jax.Array:
    logprobs_nT = target_logprobs(params, config, kv, suffixes)
    place_T, middle_n1, end_n1 = (
        jnp.arange(logprobs_nT.shape[1]),
        target_lengths_n[:, None] // 2,
        target_lengths_n[:, None],
    )
    in_halves = (place_T < middle_n1, (middle_n1 <= place_T) & (place_T < end_n1))
    return jnp.stack(
        [jnp.sum(jnp.where(inside_nT, logprobs_nT, 0.0), axis=1) for inside_nT in in_halves], axis=1
    )


def _right_padded(tokens: np.ndarray, shape: int) -> np.ndarray:
    return np.pad(tokens.astype(np.int32), (0, shape - len(tokens)))


def _resized(rows: np.ndarray, count: int) -> np.ndarray:
    """`rows`, repeated up to `count`, since a new shape would be compiled anew."""
    return np.resize(rows, count)
