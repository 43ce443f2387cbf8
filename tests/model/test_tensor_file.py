"""What is saved is what the array says, however it lies in memory."""

from pathlib import Path

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file

from model.tensor_file import save_tensors

ROOT = Path(__file__).resolve().parents[2]
GRID = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize(
    "view",
    [
        GRID.T,
        GRID[:, ::2],
        GRID[::-1],
        np.asfortranarray(GRID),
        np.broadcast_to(GRID[0], (3, 4)),
        GRID[1:, 1:],
        np.float32(7.0),
    ],
    ids=["transposed", "strided", "reversed", "fortran", "broadcast", "inner", "scalar"],
)
def test_a_view_is_saved_as_its_numbers(view: np.ndarray, tmp_path: Path) -> None:
    save_tensors({"a": view}, tmp_path / "view.safetensors")
    np.testing.assert_array_equal(
        load_file(tmp_path / "view.safetensors")["a"], np.atleast_1d(view) if view.ndim == 0 else view
    )
    save_tensors({"a": np.array(view, order="C")}, tmp_path / "copy.safetensors")
    assert (tmp_path / "view.safetensors").read_bytes() == (tmp_path / "copy.safetensors").read_bytes()


def test_arrays_of_jax_and_half_precision(tmp_path: Path) -> None:
    save_tensors(
        {"j": jnp.asarray(GRID).T, "h": GRID.astype(ml_dtypes.bfloat16).T},
        tmp_path / "a.safetensors",
        {"format": "pt"},
    )
    found = load_file(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(found["j"], GRID.T)
    np.testing.assert_array_equal(found["h"].astype(np.float32), GRID.T)


def test_nothing_else_writes_safetensors() -> None:
    writers = [
        path.relative_to(ROOT).as_posix()
        for folder in ("model", "stages", "flows", "reports", "benchmarks", "data_contracts")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "save_file" in path.read_text()
    ]
    assert writers == ["model/tensor_file.py"]
