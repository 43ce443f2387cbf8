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
from jax.sharding import NamedSharding, PartitionSpec

from model.config import ModelConfig
from model.language_model import Batch, Schedule
from model.mesh import AXES, Layout, make_layout
from model.parameters import Architecture
from model.system import System
from model.train_step import TrainState


class StepSizes(NamedTuple):
    """A batch: `rows` sequences of `tokens` tokens, with `slots` candidates a chunk, computed in `parts`."""

    rows: int
    tokens: int
    slots: int
    parts: int = 1


class AbstractStep(NamedTuple):
    """The arguments of `train_step`, arrays replaced by their types and places."""

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
    memory_bytes: int | None = None,
) -> AbstractStep:
    """The step that training does on these devices of so much memory, laid out as training lays it out
    (model/mesh.py).
    """
    strides = sizes.tokens // config.stride_tokens
    size = state_bytes(system, config, optimizer)
    layout = make_layout(sizes.rows, strides, sizes.parts, size, memory_bytes, devices)
    assert layout.mesh
    rows = NamedSharding(layout.mesh, PartitionSpec(AXES[0]))
    architecture = Architecture.of(system.build, config)
    parameters = _parameters(architecture)
    carried = None
    if system.carry == "document":
        carried = jax.eval_shape(lambda values: architecture.model(values).start(sizes.rows), parameters)
    state = TrainState(
        _laid_out(parameters, layout),
        _laid_out(jax.eval_shape(optimizer.init, parameters), layout),
        _laid_out(jax.ShapeDtypeStruct((), jnp.int32), layout),
        _placed(carried, rows),
        architecture,
        optimizer,
        layout,
    )
    key = _laid_out(jax.eval_shape(lambda: jax.random.key(0)), layout)
    return AbstractStep(state, _batch(system, config, sizes, layout), Schedule(1.0, 0.0, 0.0), key)


def state_bytes(system: System, config: ModelConfig, optimizer: optax.GradientTransformation) -> int:
    """Bytes of parameters, their gradients and the optimizer's state, in one place."""
    parameters = _parameters(Architecture.of(system.build, config))
    held = parameters, parameters, jax.eval_shape(optimizer.init, parameters)
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(held))


def _parameters(architecture: Architecture[Any]) -> dict[str, jax.ShapeDtypeStruct]:
    sizes = architecture.parameter_sizes()
    return {path: jax.ShapeDtypeStruct(size, jnp.float32) for path, size in sizes.items()}


def _batch(system: System, config: ModelConfig, sizes: StepSizes, layout: Layout) -> Batch:
    mesh = layout.mesh
    assert mesh
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


def _laid_out(tree: Any, layout: Layout) -> Any:
    return jax.tree.map(lambda leaf: _placed(leaf, layout.sharding(leaf.shape)), tree)


def _placed(tree: Any, sharding: NamedSharding) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree)


def _bytes_a_device(leaf: jax.ShapeDtypeStruct) -> int:
    assert leaf.sharding
    return math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
