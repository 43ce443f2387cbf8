from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from model.parameters import parameters_of
from model.parameters_io import load_model, save_parameters
from model.registry import SYSTEMS


@pytest.fixture
def saved(make_model, two_layers, tmp_path: Path) -> Path:
    save_parameters(parameters_of(make_model("rpt_sem", two_layers)), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_round_trip(saved: Path, make_model, two_layers) -> None:
    before, after = (
        parameters_of(make_model("rpt_sem", two_layers)),
        parameters_of(load_model(saved, SYSTEMS["rpt_sem"], two_layers)),
    )
    assert before.keys() == after.keys()
    for path, value in before.items():
        np.testing.assert_array_equal(value, after[path])


def test_errors_name_the_tensors(saved: Path, two_layers) -> None:
    tensors = load_file(saved)
    tensors["surplus"] = tensors.pop("final_norm.scale")
    tensors["embedding.table"] = tensors["embedding.table"][:5]
    save_file(tensors, saved)
    message = (
        r"missing \['final_norm.scale'\]; not expected \['surplus'\]; of another size \['embedding.table \(5,"
        r" 16\) instead of \(40, 16\)'\]"
    )
    with pytest.raises(ValueError, match=message):
        load_model(saved, SYSTEMS["rpt_sem"], two_layers)


def test_another_system_is_refused(saved: Path, two_layers) -> None:
    with pytest.raises(ValueError, match="parameters of transformer_xl: missing none; not expected"):
        load_model(saved, SYSTEMS["transformer_xl"], two_layers)
