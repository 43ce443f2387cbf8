"""docs/guides/add-a-system.md followed step by step: its system can be built, counted, compared and
trained.
"""

import re
import shutil
import sys
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_contracts import systems
from data_contracts.systems import RECORDS, Record
from flows.compare import runs
from model.language_model import Batch, Schedule
from model.parameters import Architecture
from model.registry import SYSTEMS
from model.training_cost import step_flops
from reports.metrics.published import name_of
from stages.parameters import load
from stages.training.systems import config_of, system_of
from tests.docs.pages import ROOT, blocks, text_of
from tests.tiny import tiny_config

GUIDE = "docs/guides/add-a-system.md"
CONFIG = tiny_config(layers=4, cca_layers=(), recurrent_layers=())
BATCH = Batch(
    *(np.zeros((1, 16), np.int32) for _ in range(2)),
    np.ones((1, 16), bool),
    np.zeros((1, 4, 1), np.int32),
    np.zeros((1, 4, 1), np.float32),
    np.ones((1, 4), bool),
    np.ones(1, bool),
)


@pytest.fixture
def added(monkeypatch):
    """The system's name, when its module and its record are there."""
    text, record = (block.text for block in blocks(GUIDE, "python"))
    (path,) = re.findall(r"Write `([^`]+)`", text_of(GUIDE))
    module = ModuleType(path.removesuffix(".py").replace("/", "."))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(text, path, "exec"), module.__dict__)
    system: Record = eval(record, vars(systems))  # noqa: S307
    monkeypatch.setitem(RECORDS, system.name, system)
    return system.name


def test_the_fields_that_the_guide_names_are_those_of_a_record():
    fields = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", text_of(GUIDE), re.MULTILINE)
    named = {name for row in fields for name in re.findall(r"\w+", row)}
    others = {"name", "title", "build", "updates", "first_values", "optimizer", "learning_rate"}
    assert named == set(Record.__dataclass_fields__) - others


def test_the_system_can_be_compared_and_trained(added, tmp_path, monkeypatch):
    params = shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.setattr(runs, "ROOT", tmp_path)
    (wanted,) = chosen = runs.choose(load(params), [added], [], [0])
    runs.add_runs(load(params), chosen)
    configuration = load(params)
    run = configuration.runs[wanted.name]
    system = system_of(wanted.name, run)
    assert (
        config_of(
            configuration.geometry, configuration.training, configuration.recipes[added], 100
        ).vocabulary_size
        == 100
    )
    assert step_flops(added, CONFIG, 16, 1) == step_flops("transformer_xl", CONFIG, 16, 1)
    assert name_of(added) == "Transformer-XL, parallel blocks"

    architectures = [Architecture.of(one.build, CONFIG) for one in (system, SYSTEMS["transformer_xl"])]
    assert architectures[0].parameter_sizes() == architectures[1].parameter_sizes()
    ours, theirs = (_losses(architecture) for architecture in architectures)
    assert list(ours.losses) == list(theirs.losses) == ["lm"]
    assert ours.losses["lm"].shape == ()


def _losses(architecture: Architecture):
    """The shapes of what a training batch gives."""
    parameters = {
        path: jax.ShapeDtypeStruct(size, jnp.float32) for path, size in architecture.parameter_sizes().items()
    }

    def trained(parameters):
        return architecture.model(parameters).train_losses(BATCH, Schedule(2.0, 1.0, 0.5), jax.random.key(0))

    return jax.eval_shape(trained, parameters)


def test_the_layer_is_the_formula(added):
    """x + attention(norm x) + feed-forward(norm x), and not one after the other."""
    block = sys.modules[f"model.baselines.{added}"].ParallelBlock(CONFIG)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 8, 16)), jnp.float32)
    for name in ("attention_norm", "feed_forward_norm"):
        getattr(block, name).scale[...] = jnp.ones(16)
    block.attention = lambda x, past, key, text: (2.0 * x, past)
    block.feed_forward = lambda x, rate, key: 3.0 * x
    found, _ = block(x)
    np.testing.assert_allclose(found, x + 5.0 * block.attention_norm(x), rtol=1e-5)
