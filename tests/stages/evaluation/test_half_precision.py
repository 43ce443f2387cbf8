"""Parameters kept in float16: rounded once, computed with in float32, and never made infinite."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from data_contracts.failure import Failure
from model.initialisation import initial_parameters
from model.parameters import Architecture, parameters_of
from model.parameters_io import save_parameters
from model.registry import SYSTEMS
from model.tensor_file import save_tensors
from stages.evaluation.half_precision import halve, load_in_float32
from stages.training.systems import describe
from tests.tiny import tiny_config, tiny_recipe


def test_a_model_of_a_float16_file_is_the_rounded_one_in_float32(tmp_path):
    config, system = tiny_config(), SYSTEMS["transformer_xl"]
    parameters = initial_parameters(Architecture.of(system.build, config), config, 0)
    save_parameters(parameters, tmp_path / "whole")
    halve(tmp_path / "whole", tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(describe(system, config, tiny_recipe())))
    assert {str(value.dtype) for value in load_file(tmp_path / "model.safetensors").values()} == {"float16"}
    loaded = parameters_of(load_in_float32(tmp_path))
    assert set(loaded) == set(parameters)
    for name, value in loaded.items():
        assert value.dtype == jnp.float32
        assert (np.asarray(value) == np.asarray(parameters[name]).astype(np.float16)).all()


def test_a_parameter_too_large_for_float16_is_not_made_infinite(tmp_path):
    save_tensors({"large": np.array([65505, 7e4], np.float32)}, tmp_path / "a")
    with pytest.raises(Failure, match="70000 is over 65504"):
        halve(tmp_path / "a", tmp_path / "b")
    assert not (tmp_path / "b").exists()
