from dataclasses import replace

import numpy as np
import pytest

from model.initialisation import initial_parameters
from model.parameters import Architecture
from model.registry import SYSTEMS


def parameters(name: str, config, seed: int = 0):
    return initial_parameters(Architecture.of(SYSTEMS[name].build, config), config, seed)


@pytest.mark.parametrize("name", ["transformer_xl", "retro", "rpt_lex"])
def test_shared_parameters_are_the_same_bits(name: str, two_layers) -> None:
    own, full = parameters(name, two_layers), parameters("rpt_sem", two_layers)
    assert own.keys() <= full.keys()
    assert ("fusion.gate.weight.kernel" in own) == (name != "transformer_xl")
    for path, value in own.items():
        np.testing.assert_array_equal(value, full[path])


def test_first_values(two_layers) -> None:
    values = parameters("rpt_sem", replace(two_layers, width=64, zero_init_residuals=True))
    assert np.all(values["final_norm.scale"] == 1)
    assert np.all(values["retriever.query_projection.bias"] == 0)
    for path in (
        "upper.layers.0.cross_attention.attention.output.kernel",
        "lower.layers.0.feed_forward.contract.kernel",
    ):
        assert np.all(values[path] == 0)
    for path in (
        "embedding.table",
        "upper.layers.0.cross_attention.attention.query.kernel",
        "lower.layers.0.feed_forward.expand.kernel",
    ):
        assert np.std(values[path]) == pytest.approx(0.64 / 8, rel=0.05)
    assert np.any(
        parameters("rpt_sem", two_layers)["upper.layers.0.cross_attention.attention.output.kernel"] != 0
    )


def test_paths_and_seeds_differ(two_layers) -> None:
    values = parameters("transformer_xl", two_layers)
    query, key = "lower.layers.0.attention.query.kernel", "lower.layers.0.attention.key.kernel"
    assert not np.array_equal(values[query], values[key])
    assert not np.array_equal(values[query], parameters("transformer_xl", two_layers, seed=1)[query])
