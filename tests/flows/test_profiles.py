"""Every profile is a valid configuration, and using one never loses edits."""

import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from data_contracts.failure import Exit, Failure
from flows.overrides import apply_overrides
from flows.profiles import names, use_profile
from stages.parameters import check, load

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", names())
def test_a_profile_is_valid_and_complete(name):
    configuration = load(ROOT / "profiles" / f"{name}.yaml")
    assert {run.corpus for run in configuration.runs.values()} == set(configuration.corpora)


def test_the_papers_constants():
    margins = {}
    for name in ("arxiv", "code", "pg19", "books3"):
        configuration = load(ROOT / "profiles" / f"paper-{name}.yaml")
        assert configuration.geometry.sequence_tokens == 16_384
        assert configuration.geometry.stride_chunks * 64 == 1024
        assert configuration.training.batch * configuration.geometry.sequence_tokens == 2**17
        recipe = configuration.recipes["rpt_sem"]
        assert (recipe.ranking_weight, recipe.normalise, recipe.sampling, recipe.missing_gold) == (
            1e-9,
            "sum",
            "batch",
            "mask",
        )
        margins[name] = recipe.margin_max
    assert margins == {"arxiv": 8, "code": 2, "pg19": 4, "books3": 128}


@pytest.fixture
def params(tmp_path) -> Path:
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "profiles" / "demo.yaml", path)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return path


def test_a_profile_replaces_another_but_no_edits(params):
    assert "paper" in use_profile(params, "paper-pg19")
    assert use_profile(params, "paper-pg19") == ""
    apply_overrides(params, {"scoring.candidates": 7})
    with pytest.raises(Failure, match="candidates: 7") as failure:
        use_profile(params, "demo")
    assert failure.value.code == Exit.USAGE
    assert load(params).scoring.candidates == 7
    use_profile(params, "demo", force=True)
    assert params.read_text() == (ROOT / "profiles" / "demo.yaml").read_text()


def test_committed_edits_may_be_replaced(params):
    apply_overrides(params, {"scoring.candidates": 7})
    subprocess.run(["git", "add", "-A"], cwd=params.parent, check=True)
    commit = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "edit"]
    subprocess.run(commit, cwd=params.parent, check=True)
    use_profile(params, "demo")
    assert load(params).scoring.candidates == 8


def test_an_unknown_profile_names_the_nearest(params):
    with pytest.raises(Failure, match="did you mean paper-pg19"):
        use_profile(params, "paper-pg9")


def test_a_griffin_without_its_layers_is_refused_before_anything_runs():
    raw = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    raw["recipes"] = raw["recipes"] | {"griffin": {"cca_layers": [3]}}
    raw["runs"] = {"x": {"corpus": "demo", "system": "griffin", "input": "sequences"}}
    with pytest.raises(Failure, match=r"recipes\.griffin\.recurrent_layers is empty") as failure:
        check(raw)
    assert failure.value.code == Exit.USAGE
