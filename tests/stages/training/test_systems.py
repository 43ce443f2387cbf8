"""What config.json says of a trained system brings it back, with the way its retriever was trained."""

import json
from dataclasses import replace

import pytest

from model.initialisation import initial_parameters
from model.neighbours import gold_alone
from model.parameters import Architecture
from model.parameters_io import save_parameters
from model.ranking_loss import as_sum
from model.registry import SYSTEMS
from model.rpt import RPT, RetrieverTraining
from model.scheduled_sampling import draw_by_sequence
from stages.parameters import Recipe
from stages.training.systems import describe, described_config, load_trained, with_recipe
from tests.tiny import tiny_config

CONFIG = tiny_config(vocabulary_size=30)


def restored(directory, name: str, recipe: Recipe):
    system = with_recipe(SYSTEMS[name], recipe)
    save_parameters(
        initial_parameters(Architecture.of(system.build, CONFIG), CONFIG, 0), directory / "model.safetensors"
    )
    config = json.loads(json.dumps(describe(system, CONFIG, recipe)))
    return load_trained(directory, config), config


@pytest.mark.parametrize(
    ("recipe", "training"),
    [
        (Recipe(), RetrieverTraining()),
        (
            Recipe(normalise="sum", sampling="sequence", missing_gold="mask"),
            RetrieverTraining(as_sum, draw_by_sequence, gold_alone),
        ),
    ],
    ids=["as a recipe has it that says nothing", "otherwise"],
)
def test_a_retriever_comes_back_as_it_was_trained(tmp_path, recipe, training):
    model, config = restored(tmp_path, "rpt_lex", recipe)
    assert isinstance(model, RPT)
    assert (model.config, model.training, model.relevance.__name__) == (CONFIG, training, "lexical_relevance")
    assert set(config) == {"system", "shape", "retriever_training"}


def test_a_system_without_a_retriever_says_nothing_of_it(tmp_path):
    model, config = restored(tmp_path, "retro", Recipe(normalise="sum"))
    assert set(config) == {"system", "shape"}
    assert model.config == CONFIG


def test_a_griffin_of_before_its_layers_had_a_name_is_the_same(tmp_path):
    """Older artifacts have them as `cca_layers`; what other systems write has not changed."""
    model, config = restored(tmp_path, "griffin", Recipe())
    sizes = {name: value for name, value in config["shape"].items() if name != "recurrent_layers"}
    assert described_config(config).recurrent_layers == (2,)
    older = config | {"shape": sizes | {"cca_layers": [2]}}
    assert load_trained(tmp_path, older).config == replace(model.config, cca_layers=())
    plain = describe(SYSTEMS["transformer_xl"], replace(CONFIG, recurrent_layers=()), Recipe())
    assert set(plain["shape"]) == set(sizes)


def test_a_model_of_before_the_lexical_start_is_read(tmp_path):
    model, config = restored(tmp_path, "rpt_sem", Recipe())
    sizes = {name: value for name, value in config["shape"].items() if name != "lexical_start"} | {
        "equal_projections": True
    }
    assert load_trained(tmp_path, config | {"shape": sizes}).config == model.config


def test_a_griffin_without_a_recurrence_is_refused():
    with pytest.raises(ValueError, match="no longer in cca_layers"):
        SYSTEMS["griffin"].build(replace(CONFIG, recurrent_layers=()))
