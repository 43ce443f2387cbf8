"""A run that is stopped goes on on other devices, and learns what it would have learned on one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.stages.training.test_resume import data  # noqa: F401

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
@pytest.mark.usefixtures("data")
def test_from_eight_devices_to_two_that_share_the_state_to_one(tmp_path):
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.stages.training.topology_worker", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=600)
    found = json.loads((tmp_path / "history.json").read_text())
    assert found["shapes"] == [
        [{"data": 2, "sequence": 4}, False],
        [{"data": 2, "sequence": 1}, True],
        [{"data": 1, "sequence": 1}, False],
    ]
    assert [row["step"] for row in found["moved"]] == [row["step"] for row in found["alone"]] == [*range(9)]
    for name in ("loss", "lm_loss", "ranking_loss", "grad_norm"):
        moved, alone = ([row[name] for row in found[of]] for of in ("moved", "alone"))
        np.testing.assert_allclose(moved, alone, rtol=1e-4)
    assert found["largest_piece"] == 0.5  # of every parameter and of the optimizer's state of it
    assert max(found["differences"].values()) < 1e-4
