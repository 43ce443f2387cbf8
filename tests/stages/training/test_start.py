"""What a run begins with is what its start says, and of a system and a shape that fit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML
from safetensors.numpy import load_file

from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.failure import Exit, Failure
from data_contracts.passages import CORPUS_NEIGHBOURS
from data_contracts.starts import STARTS
from model.config import ModelConfig
from model.parameters import Architecture
from model.registry import SYSTEMS
from stages.identity.digest import path_digest
from stages.parameters import check
from stages.runner.stage import Context
from stages.training.start import begun, write_start
from stages.training.systems import config_of
from tests.docs.pages import ROOT
from tests.stages.artifacts import write_model, write_tokenizer
from tests.tiny import tiny_context, tiny_geometry, tiny_recipe, tiny_training

FIT = SYSTEMS["retro_fit"]
DEMO = YAML(typ="safe").load((ROOT / "params.yaml").read_text())


@pytest.fixture
def config(tmp_path):
    vocabulary = write_tokenizer(tmp_path).get_vocab_size()
    return config_of(tiny_geometry(), tiny_training(), tiny_recipe(), vocabulary)


def write_began(home: Path, name: str, system: str, config: ModelConfig) -> None:
    """An untrained model, and what runs that begin with it depend on."""
    write_model(home / "models" / name, system, config, tiny_recipe())
    scratch = home / "made" / name
    write_start(tiny_context(home, run_name=name, scratch=scratch))
    (home / "starts").mkdir(exist_ok=True)
    (scratch / "starts").rename(home / "starts" / name)


@pytest.fixture
def context(tmp_path, config) -> Context:
    """A run that begins with `before`, a Transformer-XL."""
    (tmp_path / CORPUS_NEIGHBOURS.name).mkdir()
    (tmp_path / CORPUS_NEIGHBOURS.name / "manifest.json").write_text("{}")
    write_began(tmp_path, "before", "transformer_xl", config)
    return tiny_context(tmp_path, run_name="fit", start="before")


def first_values(context, config):
    system = begun(FIT, config, context)
    return system.first_values(Architecture.of(system.build, config), config, 0)


def test_a_start_names_the_model_the_passages_and_the_tokenizer(context, tmp_path):
    rows = open_artifact(STARTS, tmp_path / "starts" / "before").read_all()
    assert rows.column("place").to_pylist() == ["corpus_neighbours", "models/before", "tokenizer"]


def test_what_was_trained_is_taken_over_and_the_rest_is_drawn(context, config, tmp_path):
    values = first_values(context, config)
    trained = load_file(tmp_path / "models" / "before" / "model.safetensors")
    assert {*trained} < {*values} == {*Architecture.of(FIT.build, config).parameter_sizes()}
    for path, value in trained.items():
        np.testing.assert_array_equal(values[path], value)
    assert not np.any(values["upper.layers.0.cross_attention.attention.output.kernel"])
    assert np.any(values["upper.layers.0.cross_attention.attention.query.kernel"])
    assert begun(FIT, config, replace(context, start=None)) is FIT


@pytest.mark.parametrize(
    "place", ["models/before/config.json", "corpus_neighbours/manifest.json", "tokenizer/x"]
)
def test_what_changed_since_is_refused(context, config, tmp_path, place):
    (tmp_path / place).write_text("{} ")
    with pytest.raises(Failure, match="missing, or other than when") as failure:
        begun(FIT, config, context)
    assert failure.value.code == Exit.CONTRACT
    assert failure.value.remedy == "./rpt run start@before"


def test_a_place_that_does_not_exist_is_not_pinned(context, tmp_path):
    (tmp_path / CORPUS_NEIGHBOURS.name).rename(tmp_path / "away")
    with pytest.raises(Failure, match="corpus_neighbours does not exist") as failure:
        write_start(tiny_context(tmp_path, run_name="before", scratch=tmp_path / "again"))
    assert failure.value.code == Exit.CONTRACT
    assert failure.value.remedy == "./rpt run training@before"


def test_a_pin_of_a_place_that_does_not_exist_is_refused(context, config, tmp_path):
    (tmp_path / CORPUS_NEIGHBOURS.name).rename(tmp_path / "away")
    places, start = ["corpus_neighbours"], tmp_path / "starts" / "before"
    digests = [path_digest(tmp_path / CORPUS_NEIGHBOURS.name)]
    write_shard(STARTS, STARTS.table({"place": places, "digest": digests}), start / "part-00000.parquet")
    commit(STARTS, start)
    with pytest.raises(Failure, match="corpus_neighbours is missing, or other than when"):
        begun(FIT, config, context)


def test_a_model_of_another_shape_is_refused_by_what_differs(context, config):
    for name, value in {"width": 32, "vocabulary_size": 99, "layers": 3, "copying": True}.items():
        other = replace(config, **{name: value}, cca_layers=(2,), lower=1)
        with pytest.raises(Failure, match=rf"{name} is {getattr(config, name)} there, {value} here"):
            begun(FIT, other, context)


def test_a_model_of_another_system_is_refused(context, config, tmp_path):
    write_began(tmp_path, "other", "griffin", replace(config, recurrent_layers=(2,)))
    with pytest.raises(Failure, match="that is griffin, it begins with transformer_xl"):
        begun(FIT, config, replace(context, start="other"))


def configured(run: dict, starts: dict, **more) -> object:
    corpora = DEMO["corpora"] | {"other": DEMO["corpora"]["demo"]}
    runs = DEMO["runs"] | {"fit": {"corpus": "demo", "system": "retro_fit", **run}}
    sections = {"corpora": corpora, "runs": runs, "starts": starts, "indexed_corpora": ["demo", "other"]}
    return check(DEMO | sections | more)


def test_a_run_that_weighs_pairs_is_refused_an_approximate_index():
    hnsw = DEMO["evaluation"] | {"index": "hnsw"}
    for system in ("rpt_sem_features", "rpt_sem_features_shuffled"):
        runs = DEMO["runs"] | {"pairs": {"corpus": "demo", "system": system, "input": "supervision/scored"}}
        raw = DEMO | {"runs": runs, "recipes": DEMO["recipes"] | {system: DEMO["recipes"]["rpt_sem"]}}
        assert check(raw).runs["pairs"].system == system
        with pytest.raises(Failure, match=r"runs\.pairs weighs .* set evaluation.index to exact") as failure:
            check(raw | {"evaluation": hnsw})
        assert failure.value.code == Exit.USAGE
    assert check(DEMO | {"evaluation": hnsw}).evaluation.index == "hnsw"


def test_a_configuration_whose_start_does_not_fit_is_refused_by_name():
    known = {"demo-transformer_xl": {"corpus": "demo", "system": "transformer_xl"}}
    begins = {"input": "starts/demo-transformer_xl"}
    assert configured(begins, known).runs["fit"].start == "demo-transformer_xl"
    assert configured(begins, known).runs["fit"].as_read().input == "corpus_neighbours"
    retro = {"demo-retro": {"corpus": "demo", "system": "retro"}}
    for run, starts, more, reason in (
        (begins, {}, {}, r"begins with 'demo-transformer_xl', starts has \[\]"),
        ({"input": "corpus_neighbours"}, known, {}, "begins with a trained transformer_xl: write starts/RUN"),
        (
            {"input": "starts/demo-retro"},
            retro,
            {},
            "which is retro on demo: it needs transformer_xl on demo",
        ),
        (
            begins | {"corpus": "other"},
            known,
            {},
            "which is transformer_xl on demo: it needs transformer_xl on other",
        ),
        (begins | {"system": "retro_corpus"}, known, {}, "retro_corpus begins with no run"),
        (begins, known, {"indexed_corpora": []}, "add 'demo' to indexed_corpora"),
        (begins, {"gone": known["demo-transformer_xl"]}, {}, "runs has only"),
        ({"input": "starts/a/b"}, known, {}, "String should match pattern"),
    ):
        with pytest.raises(Failure, match=reason) as failure:
            configured(run, starts, **more)
        assert failure.value.code == Exit.USAGE
