"""One process of a run on several devices, for test_mesh.py: losses and gradients of one batch, on one mesh
after the other.

Arguments: what to write, a system, then meshes as ROWS-DATAxSEQUENCE, with -split behind it where the state
is cut over DATA; with JAX_PROCESS, JAX_PROCESSES and JAX_PORT in the environment it is one of several
processes. A system that carries state is measured on a batch whose first row goes on from another; in the
others a document starts.
"""

import os
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental.multihost_utils import process_allgather

from model.decoder import State
from model.language_model import Batch, Schedule
from model.mesh import Layout, make_layout, sharded
from model.optimizer import adabelief
from model.parameters import Parameters
from model.registry import SYSTEMS
from model.train_step import init_train_state
from tests.tiny import tiny_config

CONFIG = tiny_config(vocabulary_size=70, chunk_tokens=8, gate_window=5, dropout=0.1)
CHUNKS, SLOTS = 32, 3
SCHEDULE = Schedule(2.0, 0.5, 0.5)


def make_batch(rows: int) -> Batch:
    """Random text and labels; the last quarter of the last sequence is padding."""
    rng = np.random.default_rng(rows)
    length = CHUNKS * CONFIG.chunk_tokens
    text = rng.integers(0, CONFIG.vocabulary_size, (rows, length + 1)).astype(np.int32)
    mask = np.ones((rows, length), bool)
    mask[-1, length * 3 // 4 :] = False
    limit = np.maximum(2 * (np.arange(CHUNKS) // 2 - 1) - 1, 0)[None, :, None]
    candidates = np.where(
        limit > SLOTS, (rng.integers(0, 50, (rows, CHUNKS, 1)) + np.arange(SLOTS)) % np.maximum(limit, 1), -1
    )
    scores = rng.normal(0, CONFIG.chunk_tokens, candidates.shape).astype(np.float32)
    return Batch(
        text[:, :-1],
        text[:, 1:],
        mask,
        candidates.astype(np.int32),
        scores,
        np.ones((rows, CHUNKS), bool),
        np.ones(rows, bool),
    )


def measured(system: str, layout: Layout, batch: Batch) -> dict[str, np.ndarray]:
    """The total loss, every metric and every gradient; the bytes of arguments of a device, and what it needs
    besides.
    """
    state = init_train_state(SYSTEMS[system], CONFIG, 0, adabelief(1e-3), len(batch.starts_B))

    def total(parameters: Parameters, batch: Batch, key: jax.Array, carried: State):
        losses, metrics, following = state.architecture.model(parameters).train_losses(
            batch, SCHEDULE, key, carried
        )
        return sum(losses.values()), (metrics, following)

    def gradient(parameters: Parameters, *rest: Any) -> tuple[Any, Any]:
        with layout.in_use():
            values, gradients = jax.value_and_grad(total, has_aux=True)(parameters, *rest)
        return values, layout.kept(gradients)

    def placed(batch: Batch) -> Batch:
        return sharded(lambda rows: jax.tree.map(lambda x: x[rows], batch), len(batch.starts_B), layout)

    key, carried = jax.random.key(1), layout.by_row(state.carried)
    parameters = layout.placed(
        {path: value if path.endswith("scale") else 3 * value for path, value in state.parameters.items()}
    )
    arguments = parameters, placed(batch), key, carried
    compiled = jax.jit(gradient).lower(*arguments).compile()
    if carried is not None:
        (_, (_, carried)), _ = compiled(*arguments)
        goes_on = batch._replace(starts_B=np.arange(len(batch.starts_B)) > 0)
        arguments = parameters, placed(goes_on), key, layout.by_row(carried)
    (loss, (metrics, _)), gradients = compiled(*arguments)
    found = {"loss": loss, **metrics, **{f"gradient.{path}": value for path, value in gradients.items()}}
    memory = compiled.memory_analysis()
    sizes = {"memory": memory.temp_size_in_bytes, "arguments": memory.argument_size_in_bytes}
    return {name: _whole(value) for name, value in found.items()} | {
        name: np.asarray(size) for name, size in sizes.items()
    }


def _whole(value: jax.Array) -> np.ndarray:
    """An array that may lie in several processes."""
    return np.asarray(value if value.is_fully_replicated else process_allgather(value, tiled=True))


def main(target: Path, system: str, meshes: list[str]) -> None:
    """Write an .npz a mesh, `target`/ROWS-DATAxSEQUENCE.npz."""
    for name in meshes:
        rows, data, sequence = map(int, name.removesuffix("-split").replace("-", "x").split("x"))
        devices, strides = jax.devices()[: data * sequence], CHUNKS // CONFIG.stride_chunks
        layout = make_layout(
            rows,
            strides,
            1,
            state_bytes=1,
            memory_bytes=1 if name.endswith("-split") else None,
            devices=devices,
        )
        if layout.mesh.devices.shape != (data, sequence):
            raise SystemExit(
                f"{len(devices)} devices and {rows} sequences make the mesh {layout.mesh.devices.shape}"
            )
        found = measured(system, layout, make_batch(rows))
        if jax.process_index() == 0:
            np.savez(target / f"{name}.npz", **found)


if __name__ == "__main__":
    if "JAX_PORT" in os.environ:
        jax.distributed.initialize(
            f"127.0.0.1:{os.environ['JAX_PORT']}",
            int(os.environ["JAX_PROCESSES"]),
            int(os.environ["JAX_PROCESS"]),
        )
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
