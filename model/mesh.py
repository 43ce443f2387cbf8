"""Training on many devices: a mesh with axes `data`, over the sequences of a batch, and `sequence`, over the
tokens of one.

Paper section 3.4 spreads a document of 16,384 tokens over 4 devices. Here the program is written for one
device and XLA's partitioner divides it: parameters are on every device, activations are cut along both axes,
the halo of the previous window stride and of cross-attention's shift is exchanged between neighbours, and
keys and pair states are gathered, since a chunk may retrieve any earlier one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from model.language_model import Batch

AXES = ("data", "sequence")


def make_mesh(batch: int, strides: int, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """As many of `devices` (all there are) as divide the work evenly: first over `batch` sequences, then over
    the strides of each.

    A sequence is cut only where no device would hold parts of two, which the partitioner cannot lay out
    without gathering them.
    """
    devices = list(jax.devices() if devices is None else devices)
    data = _largest_divisor(batch, len(devices))
    sequence = _largest_divisor(strides, len(devices) // data) if data == batch else 1
    return Mesh(
        np.array(devices[: data * sequence]).reshape(data, sequence),
        AXES,
        axis_types=(AxisType.Auto, AxisType.Auto),
    )


def replicated(tree: Any, mesh: Mesh) -> Any:
    """The arrays of a tree on every device of the mesh."""
    return jax.tree.map(lambda array: _placed(array, NamedSharding(mesh, PartitionSpec())), tree)


def by_row(tree: Any, mesh: Mesh) -> Any:
    """The arrays of a tree cut along their first axis, the rows of a batch."""
    return jax.tree.map(lambda array: _placed(array, NamedSharding(mesh, PartitionSpec(AXES[0]))), tree)


def sharded(batch: Batch, mesh: Mesh) -> Batch:
    """A batch cut along both axes of the mesh. In a run of several processes each must hold the
    whole batch.
    """
    return jax.tree.map(
        lambda array: _placed(array, NamedSharding(mesh, PartitionSpec(*AXES[: np.ndim(array)]))), batch
    )


def _placed(array: Any, sharding: NamedSharding) -> Array:
    host = np.asarray(array)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def _largest_divisor(number: int, limit: int) -> int:
    return next(divisor for divisor in range(min(number, limit), 0, -1) if number % divisor == 0)
