"""A small training step, compiled by the compilers of TPUs and of NVIDIA cards, none of which is here.

The collectives of the sharded program are kept in a file beside the tests: a change of the model or of the
lock that makes devices exchange more is seen there. To write it again:
`python -m tests.flows.commands.test_fits_compiled`.
"""

from pathlib import Path
from typing import Any

import pytest

from flows.commands.fits import fit
from flows.profiles import profile_path
from stages.parameters import Configuration, load
from tests.tiny import tiny_geometry, tiny_recipe, tiny_training

GOLDEN = Path(__file__).parents[2] / "stages" / "fits" / "exchanged-v4-2x2x1.txt"


def small() -> Configuration:
    """The demo with sequences of 16 chunks of 8 tokens and one layer in each decoder."""
    configuration = load(profile_path("demo"))
    recipes = configuration.recipes | {"rpt_sem": tiny_recipe()}
    changes = {"geometry": tiny_geometry(), "training": tiny_training(width=32, batch=1), "recipes": recipes}
    return configuration.model_copy(update=changes)


def compiled(on: str, batch: int = 1) -> dict[str, Any]:
    """What `rpt plan training demo-rpt_sem --on ...` finds for the small step."""
    return fit(small(), "demo-rpt_sem", on, batch)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_step_fits_one_v5e():
    found = compiled("v5e:1x1")
    assert found["fits"]
    assert found["devices"] == 1
    assert found["collectives"] == {}
    assert 0 < found["bytes"]["state"] < found["bytes"]["needed"] < 0.01 * found["bytes"]["memory"]
    assert found["flops"]["traced"] == pytest.approx(found["flops"]["counted"], rel=0.05)
    assert found["batch_that_fits"] > 100


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_four_v4_exchange_is_what_it_was():
    found = compiled("v4:2x2x1")
    assert found["mesh"] == {"data": 1, "sequence": 4}
    assert found["exchanged"] == GOLDEN.read_text().splitlines()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_step_fits_two_h100():
    found = compiled("h100:2", batch=2)
    assert found["fits"]
    assert found["mesh"] == {"data": 2, "sequence": 1}
    assert found["collectives"].keys() == {"all-reduce"}
    # gradients, a third of the state, and losses
    assert found["collectives"]["all-reduce"]["bytes"] > found["bytes"]["state"] / 4


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_step_that_is_too_large_is_refused_with_figures():
    found = compiled("v5e:1x1", batch=400_000)
    assert not found["fits"]
    assert found["refused"].startswith("RESOURCE_EXHAUSTED")
    assert found["bytes"]["needed"] > found["bytes"]["memory"]
    assert 0 < found["batch_that_fits"] < 400_000


if __name__ == "__main__":
    GOLDEN.write_text("".join(f"{line}\n" for line in compiled("v4:2x2x1")["exchanged"]))
