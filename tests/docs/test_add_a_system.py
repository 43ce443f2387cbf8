"""docs/guides/add-a-system.md followed step by step: its system can be built, counted, compared and trained."""

import re
import sys
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ruamel.yaml import YAML

from flows.compare.runs import choose
from model import presets, systems, training_cost
from model.language_model import Batch, Schedule
from model.parameters import Architecture
from model.system import System
from reports.metrics import published
from stages.parameters import check
from stages.training.systems import config_of, system_of
from tests.docs.pages import ROOT, blocks, text_of
from tests.model.structures import VARIANTS
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
    """The system's name, when every step of the guide was done."""
    *files, structure = (block.text for block in blocks(GUIDE, "python"))
    for path, text in zip(re.findall(r"Write `([^`]+)`", text_of(GUIDE)), files, strict=True):
        module = ModuleType(path.removesuffix(".py").replace("/", "."))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(compile(text, path, "exec"), module.__dict__)
    (system,) = module.SYSTEMS
    for owner, table in ((systems, "MODULE_OF"), (published, "NAMES"), (training_cost, "MACS")):
        ((key, value),) = eval("{" + _entry(table) + "}", vars(owner)).items()  # noqa: S307
        assert key == system.name
        monkeypatch.setitem(getattr(owner, table), key, value)
    assert structure.strip() == f'"{system.name}": ()'
    return system.name


def _entry(table: str) -> str:
    """What the guide says to add to a table."""
    (entry,) = re.findall(rf"^\| `[^`]+`, `{table}` \| `([^`]+)`", text_of(GUIDE), re.MULTILINE)
    return entry


def test_the_guide_names_every_place_that_has_an_entry_for_each_system():
    places = set(re.findall(r"`([\w./]+\.(?:py|yaml))`,\s`(\w+)`", text_of(GUIDE)))
    assert places == {
        ("model/systems/__init__.py", "MODULE_OF"),
        ("reports/metrics/published.py", "NAMES"),
        ("model/training_cost.py", "MACS"),
        ("params.yaml", "recipes"),
        ("tests/model/structures.py", "VARIANTS"),
    }
    recipes = YAML(typ="safe").load((ROOT / "params.yaml").read_text())["recipes"]
    variants = {*VARIANTS, *(name for others in VARIANTS.values() for name in others)}
    assert set(presets.SYSTEMS) == set(published.NAMES) == set(training_cost.MACS) == set(recipes) == variants
    fields = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", text_of(GUIDE), re.MULTILINE)
    assert {name for row in fields for name in re.findall(r"\w+", row)} <= set(System.__dataclass_fields__)


def test_the_system_can_be_compared_and_trained(added):
    text = (ROOT / "params.yaml").read_text().replace("\nrecipes:\n", f"\nrecipes:\n  {added}: *plain\n")
    plain = text.index("&plain {}")
    text = text.replace("*plain", "&plain {}", 1) if text.index("*plain") < plain else text
    document = YAML(typ="safe").load(re.sub(r"(?<=transformer_xl: )&plain \{\}", "*plain", text))
    configuration = check(document)
    (wanted,) = choose(configuration, [added], [], [0])
    run = check(document | {"runs": {wanted.name: wanted.entry}}).runs[wanted.name]
    system = system_of(wanted.name, run)
    assert config_of(configuration.geometry, configuration.training, configuration.recipes[added], 100).vocabulary_size == 100
    assert training_cost.step_flops(added, CONFIG, 16, 1) == training_cost.step_flops("transformer_xl", CONFIG, 16, 1)

    architectures = [Architecture.of(one.build, CONFIG) for one in (system, presets.SYSTEMS["transformer_xl"])]
    assert architectures[0].parameter_sizes() == architectures[1].parameter_sizes()
    ours, theirs = (_losses(architecture) for architecture in architectures)
    assert list(ours.losses) == list(theirs.losses) == ["lm"]
    assert ours.losses["lm"].shape == ()


def _losses(architecture: Architecture):
    """The shapes of what a training batch gives."""
    parameters = {path: jax.ShapeDtypeStruct(size, jnp.float32) for path, size in architecture.parameter_sizes().items()}

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
