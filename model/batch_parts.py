"""A batch computed in parts, one after the other: its sums are those of the whole, its activations those of a
part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from model.decoder import State
from model.language_model import Batch, Counts

Compute = Callable[[Batch, Array, State], tuple[Any, State]]
"""Of some sequences, a key and what they go on from: a tree of sums over them, and what follows."""


def sum_over_parts(
    compute: Compute,
    count: Callable[[Batch], Counts],
    parts: int,
    batch: Batch,
    key: Array,
    carried: State,
) -> tuple[Any, State]:
    """The sums of `compute` over `parts` parts of the batch, as many sequences in each, and the state after.

    Part p has sequences p, p + parts, ... of a batch: so a device that holds neighbouring sequences holds
    some of every part, and none moves. Each part draws from a key of its own and is given what `count` finds
    in the whole batch.
    """
    if parts == 1:
        return compute(batch, key, carried)
    counts = count(batch)

    def add(sums: Any, given: tuple[Batch, Array, State]) -> tuple[Any, State]:
        part, part_key, before = given
        values, after = compute(part._replace(counts=counts), part_key, before)
        return jax.tree.map(jnp.add, sums, values), after

    split_rows, split_carried = jax.tree.map(lambda leaf: _split(leaf, parts), (batch, carried))
    given = split_rows, jax.random.split(key, parts), split_carried
    first: Any = jax.tree.map(lambda leaf: leaf[0], given)
    types = jax.eval_shape(lambda part, *rest: compute(part._replace(counts=counts), *rest)[0], *first)
    sums, after = jax.lax.scan(
        add, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), types), given
    )
    return sums, jax.tree.map(_joined, after)


def _split(leaf: Array, parts: int) -> Array:
    return jnp.moveaxis(leaf.reshape(len(leaf) // parts, parts, *leaf.shape[1:]), 1, 0)


def _joined(leaf: Array) -> Array:
    return jnp.moveaxis(leaf, 0, 1).reshape(-1, *leaf.shape[2:])
