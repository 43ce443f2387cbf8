"""Training on many devices: a mesh with axes `data`, over the sequences of a batch, and `sequence`, over the
tokens of one.

Paper section 3.4 spreads a document of 16,384 tokens over 4 devices. Here the program is written for one
device and XLA's partitioner divides it: activations are cut along both axes, the halo of the previous window
stride and of cross-attention's shift is exchanged between neighbours, and keys and pair states are gathered,
since a chunk may retrieve any earlier one. Parameters and optimizer state are on every device or, where that
would fill it, cut over `data` and gathered where they are used (fully sharded data parallel; ZeRO, arXiv
1910.02054).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from model.language_model import Batch

AXES = ("data", "sequence")
STATE_SHARE = 0.5  # of a device's memory; more of it for state would leave too little for activations


@dataclass(frozen=True)
class Layout:
    """Where training's arrays are: on the devices of `mesh`, or on JAX's first one, parameters and optimizer
    state cut over the mesh's axis `data` if `split_state`. A step computes its batch in `parts`, one after
    the other (batch_parts.py).
    """

    mesh: Mesh | None = None
    parts: int = 1
    split_state: bool = False

    def placed(self, tree: Any) -> Any:
        """Parameters or optimizer state, on the devices."""
        if self.mesh is None:
            return tree
        return jax.tree.map(lambda array: _placed(array, self.sharding(np.shape(array))), tree)

    def in_use(self) -> AbstractContextManager[Any]:
        """What is traced in it knows the mesh: the LM loss computes on each device what lies there."""
        if self.mesh is None:
            return nullcontext()
        return jax.sharding.use_abstract_mesh(self.mesh.abstract_mesh)

    def made(self, make: Callable[[Any], Any], given: Any) -> Any:
        """The arrays that `make` makes of what is placed, placed as they are made: none is whole anywhere
        that is to be cut.
        """
        if not self.split_state:
            return self.placed(make(given))
        types = jax.eval_shape(make, given)
        places = jax.tree.map(lambda like: self.sharding(like.shape), types)
        return jax.jit(make, out_shardings=places)(given)

    def by_row(self, tree: Any) -> Any:
        """Arrays with a row for each sequence of a batch, on the devices that compute it."""
        if self.mesh is None:
            return tree
        rows = NamedSharding(self.mesh, PartitionSpec(AXES[0]))
        return jax.tree.map(lambda array: _placed(array, rows), tree)

    def kept(self, tree: Any) -> Any:
        """The same inside a program: what is computed of them lies as they do."""
        if not self.split_state:
            return tree
        return jax.tree.map(
            lambda array: jax.lax.with_sharding_constraint(array, self.sharding(array.shape)), tree
        )

    def sharding(self, shape: tuple[int, ...]) -> NamedSharding:
        """Of one array of the state: cut along the longest axis that `data` divides, whole if none is."""
        assert self.mesh
        cut: list[str | None] = [None] * len(shape)
        data = self.mesh.shape[AXES[0]]
        if self.split_state and (divided := [axis for axis, size in enumerate(shape) if size % data == 0]):
            cut[max(divided, key=lambda axis: shape[axis])] = AXES[0]
        return NamedSharding(self.mesh, PartitionSpec(*cut))


ONE_DEVICE = Layout()


def make_layout(
    rows: int,
    strides: int,
    parts: int = 1,
    state_bytes: int = 0,
    memory_bytes: int | None = None,
    devices: Sequence[jax.Device] | None = None,
) -> Layout:
    """The layout for batches of `rows` sequences of `strides` strides in `parts` on `devices` (all there
    are).

    The state is cut where its `state_bytes` are more than half of a device's `memory_bytes`, None if that is
    not known, and there are devices to cut it over.
    """
    mesh = make_mesh(rows // parts, strides, devices)
    large = memory_bytes is not None and state_bytes > STATE_SHARE * memory_bytes
    return Layout(mesh, parts, large and mesh.shape[AXES[0]] > 1)


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


def sharded(read: Callable[[slice], Batch], rows: int, layout: Layout) -> Batch:
    """A batch of `rows` sequences cut along both axes of the mesh, if there is one. `read` gives those of a
    slice; in a run of several processes each reads only what its own devices hold.
    """
    mesh = layout.mesh
    if mesh is None:
        return read(slice(0, rows))
    read_once: dict[tuple[int, int], list[np.ndarray]] = {}

    def part(rows_of: slice) -> list[np.ndarray]:
        begin, end, _ = rows_of.indices(rows)
        if (begin, end) not in read_once:
            read_once[begin, end] = jax.tree.leaves(read(slice(begin, end)))
        return read_once[begin, end]

    def array(number: int, like: np.ndarray) -> Array:
        sharding = NamedSharding(mesh, PartitionSpec(*AXES[: like.ndim]))

        def piece(index: Any) -> np.ndarray:
            return part(index[0])[number][(slice(None), *index[1:])]

        return jax.make_array_from_callback((rows, *like.shape[1:]), sharding, piece)

    likes, structure = jax.tree.flatten(read(slice(0, 0)))
    return jax.tree.unflatten(structure, [array(number, like) for number, like in enumerate(likes)])


def _placed(array: Any, sharding: NamedSharding) -> Array:
    host = np.asarray(array)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def _largest_divisor(number: int, limit: int) -> int:
    return next(divisor for divisor in range(min(number, limit), 0, -1) if number % divisor == 0)
