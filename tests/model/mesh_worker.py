"""One process of a run on several devices, for test_mesh.py: losses and gradients of one batch, on one mesh
after the other.

Arguments: what to write, a system, then meshes as ROWS-DATAxSEQUENCE; with JAX_PROCESS and JAX_PORT in the
environment it is one of two processes. A system that carries state is measured on a batch whose first row
goes on from another; in the others a document starts.
"""

import os
import sys
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh

from model.decoder import State
from model.language_model import Batch, Schedule
from model.mesh import by_row, make_mesh, replicated, sharded
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


def measured(system: str, mesh: Mesh, batch: Batch) -> dict[str, np.ndarray]:
    """The total loss, every metric and every gradient; and what a device needs besides its arguments."""
    state = init_train_state(SYSTEMS[system], CONFIG, 0, adabelief(1e-3), len(batch.starts_B))

    def total(parameters: Parameters, batch: Batch, key: jax.Array, carried: State):
        losses, metrics, following = state.architecture.model(parameters).train_losses(
            batch, SCHEDULE, key, carried
        )
        return sum(losses.values()), (metrics, following)

    key, carried = jax.random.key(1), by_row(state.carried, mesh)
    parameters = replicated(
        {path: value if path.endswith("scale") else 3 * value for path, value in state.parameters.items()},
        mesh,
    )
    arguments = parameters, sharded(batch, mesh), key, carried
    compiled = jax.jit(jax.value_and_grad(total, has_aux=True)).lower(*arguments).compile()
    if carried is not None:
        (_, (_, carried)), _ = compiled(*arguments)
        goes_on = batch._replace(starts_B=np.arange(len(batch.starts_B)) > 0)
        arguments = parameters, sharded(goes_on, mesh), key, by_row(carried, mesh)
    (loss, (metrics, _)), gradients = compiled(*arguments)
    found = {"loss": loss, **metrics, **{f"gradient.{path}": value for path, value in gradients.items()}}
    memory = compiled.memory_analysis().temp_size_in_bytes
    return {name: np.asarray(value) for name, value in found.items()} | {"memory": np.asarray(memory)}


def main(target: Path, system: str, meshes: list[str]) -> None:
    """Write an .npz a mesh, `target`/ROWS-DATAxSEQUENCE.npz."""
    for name in meshes:
        rows, data, sequence = map(int, name.replace("-", "x").split("x"))
        devices = np.array(jax.devices()[: data * sequence])
        mesh = make_mesh(rows, CHUNKS // CONFIG.stride_chunks, devices.tolist())
        if mesh.devices.shape != (data, sequence):
            raise SystemExit(
                f"{len(devices)} devices and {rows} sequences make the mesh {mesh.devices.shape}"
            )
        found = measured(system, mesh, make_batch(rows))
        if jax.process_index() == 0:
            np.savez(target / f"{name}.npz", **found)


if __name__ == "__main__":
    if "JAX_PORT" in os.environ:
        jax.distributed.initialize(f"127.0.0.1:{os.environ['JAX_PORT']}", 2, int(os.environ["JAX_PROCESS"]))
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
