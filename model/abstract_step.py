"""A training step without any data: the types and places of all that it reads, enough to compile it for
devices that are not here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from model.config import ModelConfig
from model.language_model import Batch, Schedule
from model.mesh import AXES, make_mesh
from model.parameters import Architecture
from model.system import System
from model.train_step import TrainState


class StepSizes(NamedTuple):
    """A batch: `rows` sequences of `tokens` tokens, with `slots` candidates a chunk."""

    rows: int
    tokens: int
    slots: int


class AbstractStep(NamedTuple):
    """The arguments of `train_step`, arrays replaced by their types and places on `mesh`."""

    mesh: Mesh
    state: TrainState
    batch: Batch
    schedule: Schedule
    key: jax.ShapeDtypeStruct

    @property
    def arguments(self) -> tuple[TrainState, Batch, Schedule, jax.ShapeDtypeStruct]:
        """What `train_step` is lowered with."""
        return self.state, self.batch, self.schedule, self.key

    @property
    def state_bytes(self) -> int:
        """Bytes of parameters, optimizer state and carried state that each device holds."""
        return sum(_bytes_a_device(leaf) for leaf in jax.tree.leaves(self.state))


def abstract_step(
    system: System,
    config: ModelConfig,
    sizes: StepSizes,
    optimizer: optax.GradientTransformation,
    devices: Sequence[jax.Device],
) -> AbstractStep:
    """The step that training does on these devices, laid out as training lays it out (model/mesh.py)."""
    mesh = make_mesh(sizes.rows, sizes.tokens // config.stride_tokens, devices)
    everywhere, rows = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec(AXES[0]))
    architecture = Architecture.of(system.build, config)
    parameters = {
        path: jax.ShapeDtypeStruct(size, jnp.float32) for path, size in architecture.parameter_sizes().items()
    }
    carried = None
    if system.carry == "document":
        carried = jax.eval_shape(lambda values: architecture.model(values).start(sizes.rows), parameters)
    state = TrainState(
        _placed(parameters, everywhere),
        _placed(jax.eval_shape(optimizer.init, parameters), everywhere),
        _placed(jax.ShapeDtypeStruct((), jnp.int32), everywhere),
        _placed(carried, rows),
        architecture,
        optimizer,
    )
    key = jax.eval_shape(lambda: jax.random.key(0))
    return AbstractStep(
        mesh, state, _batch(system, config, sizes, mesh), Schedule(1.0, 0.0, 0.0), _placed(key, everywhere)
    )


def _batch(system: System, config: ModelConfig, sizes: StepSizes, mesh: Mesh) -> Batch:
    tokens, chunks = (sizes.rows, sizes.tokens), (sizes.rows, config.chunks_of(sizes.tokens))
    types = [
        jax.ShapeDtypeStruct(tokens, jnp.int32),
        jax.ShapeDtypeStruct(tokens, jnp.int32),
        jax.ShapeDtypeStruct(tokens, jnp.bool_),
        jax.ShapeDtypeStruct((*chunks, sizes.slots), jnp.int32),
        jax.ShapeDtypeStruct((*chunks, sizes.slots), jnp.float32),
        jax.ShapeDtypeStruct(chunks, jnp.bool_),
        jax.ShapeDtypeStruct(tokens[:1], jnp.bool_),
    ]
    if system.supervision == "corpus":
        types.append(jax.ShapeDtypeStruct((*chunks, config.neighbours, 2 * config.chunk_tokens), jnp.int32))
    return Batch(
        *(_placed(array, NamedSharding(mesh, PartitionSpec(*AXES[: len(array.shape)]))) for array in types)
    )


def _placed(tree: Any, sharding: NamedSharding) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree)


def _bytes_a_device(leaf: jax.ShapeDtypeStruct) -> int:
    assert leaf.sharding
    return math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
