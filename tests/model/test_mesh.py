"""Training on 1, 2, 4 and 8 simulated devices, and on two and four real processes, is training on one device,
with parameters on all of them or cut over them.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from model.mesh import make_layout, make_mesh, sharded
from tests.model.mesh_worker import CHUNKS, CONFIG, make_batch

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-5
SIZES = {"memory", "arguments"}
ALONE = ["1-1x1", "2-1x1"]
MESHES = ["1-1x2", "1-1x4", "2-2x4", "2-2x1-split", "2-2x4-split"]


def start(
    target: Path, meshes: list[str], devices: int, system: str = "rpt_sem", **environment: str
) -> subprocess.Popen:
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}"
    variables = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": flags,
        "PYTHONPATH": str(ROOT),
        **environment,
    }
    command = [sys.executable, "-m", "tests.model.mesh_worker", str(target), system, *meshes]
    return subprocess.Popen(
        command, cwd=ROOT, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def finish(process: subprocess.Popen) -> None:
    output, _ = process.communicate(timeout=800)
    assert process.returncode == 0, output


def load(target: Path, mesh: str) -> dict[str, np.ndarray]:
    with np.load(target / f"{mesh}.npz") as arrays:
        return dict(arrays)


def assert_same(found: dict[str, np.ndarray], alone: dict[str, np.ndarray]) -> None:
    """Losses and metrics to 1e-5, and the whole gradient to 1e-5 of its norm."""
    values = [name for name in alone if not name.startswith("gradient.") and name not in SIZES]
    np.testing.assert_allclose(
        [found[name] for name in values], [alone[name] for name in values], TOLERANCE, TOLERANCE
    )
    gradients = [name for name in alone if name.startswith("gradient.")]
    difference = sum(np.square(found[name] - alone[name]).sum() for name in gradients) ** 0.5
    assert difference <= TOLERANCE * sum(np.square(alone[name]).sum() for name in gradients) ** 0.5


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("meshes")
    finish(start(target, [*ALONE, *MESHES], devices=8))
    return target


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mesh", MESHES)
def test_losses_and_gradients_are_those_of_one_device(results, mesh):
    alone = load(results, f"{mesh[0]}-1x1")
    assert_same(load(results, mesh), alone)
    assert alone["lm_loss"] > 1
    assert alone["ranking_loss"] > 0.1


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("system", ["memorizing_32k", "block_recurrent_official"])
def test_state_that_is_carried_is_that_of_one_device(system, tmp_path):
    finish(start(tmp_path, ["2-1x1", "2-2x4"], 8, system))
    assert_same(load(tmp_path, "2-2x4"), load(tmp_path, "2-1x1"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_split_state_is_shared_too(results):
    """Nearly all of a device's arguments are parameters."""
    assert load(results, "2-2x4-split")["arguments"] < 0.6 * load(results, "2-2x4")["arguments"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_devices_share_the_memory_of_a_sequence(results):
    assert load(results, "1-1x4")["memory"] < 0.4 * load(results, "1-1x1")["memory"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("processes", "devices", "meshes"),
    [(2, 2, ["1-1x4", "2-2x2", "2-2x2-split"]), (4, 1, ["2-2x2-split"])],
)
def test_several_processes_are_one(processes, devices, meshes, results, tmp_path):
    """Real processes, which find each other over loopback: one sequence over four devices, and two over two,
    each process with the rows of its own devices and, split, a half of every parameter.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    several = [
        start(tmp_path, meshes, devices, JAX_PORT=port, JAX_PROCESSES=str(processes), JAX_PROCESS=str(number))
        for number in range(processes)
    ]
    for process in several:
        finish(process)
    for mesh in meshes:
        assert_same(load(tmp_path, mesh), load(results, f"{mesh[0]}-1x1"))


def test_a_mesh_divides_the_work_evenly():
    devices = make_mesh(1, 1).devices.ravel().tolist() * 32
    shapes = {
        (batch, strides, count): make_mesh(batch, strides, devices[:count]).devices.shape
        for batch, strides, count in CASES
    }
    assert shapes == CASES


def test_the_state_is_cut_along_its_longest_axis_where_half_a_device_does_not_hold_it():
    devices = jax.devices()[:1] * 4
    whole, cut = (make_layout(4, 1, 1, 51, memory, devices) for memory in (102, 101))
    assert (whole.split_state, cut.split_state) == (False, True)
    assert whole.sharding((8, 16)).spec == PartitionSpec(None, None)
    assert cut.sharding((8, 16)).spec == PartitionSpec(None, "data")
    assert cut.sharding((8, 15)).spec == PartitionSpec("data", None)
    assert cut.sharding((7,)).spec == PartitionSpec(None)
    assert not make_layout(4, 1, 1, 51, None, devices).split_state
    assert make_layout(4, 1, 2, 51, None, devices).mesh.devices.shape == (2, 1)


def test_a_process_reads_the_rows_of_its_own_devices_once():
    batch, asked = make_batch(2), []

    def read(rows):
        asked.append((rows.start, rows.stop))
        return jax.tree.map(lambda array: array[rows], batch)

    layout = make_layout(2, CHUNKS // CONFIG.stride_chunks, devices=jax.devices()[:1])
    found = sharded(read, 2, layout)
    assert asked == [(0, 0), (0, 2)]
    assert jax.tree.all(jax.tree.map(np.array_equal, found, batch))


CASES = {
    (1, 16, 1): (1, 1),
    (1, 16, 4): (1, 4),
    (8, 16, 4): (4, 1),
    (8, 16, 32): (8, 4),
    (2, 16, 8): (2, 4),
    (3, 16, 8): (3, 2),
    (8, 16, 3): (2, 1),
    (1, 6, 4): (1, 3),
}
"""(sequences, strides of one, devices) -> sequences side by side, parts of one."""
