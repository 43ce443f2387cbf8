"""Training on 1, 2, 4 and 8 simulated devices, and on two real processes, is training on one device."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.mesh import make_mesh

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-5
ALONE = ["1-1x1", "2-1x1"]
MESHES = ["1-1x2", "1-1x4", "2-2x4"]


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
    values = [name for name in alone if not name.startswith("gradient.") and name != "memory"]
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
def test_devices_share_the_memory_of_a_sequence(results):
    assert load(results, "1-1x4")["memory"] < 0.4 * load(results, "1-1x1")["memory"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_are_one(results, tmp_path):
    """Two devices in each of two real processes, which find each other over loopback: one sequence over all
    four, and two over two.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    meshes = ["1-1x4", "2-2x2"]
    processes = [start(tmp_path, meshes, 2, JAX_PORT=port, JAX_PROCESS=str(number)) for number in range(2)]
    for process in processes:
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
