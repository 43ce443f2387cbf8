"""dvc.yaml, the stage records and the code must tell the same story; DVC would otherwise call a stale result
fresh.
"""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.runner.stage import CORPUS_STAGES, RAY_STAGES, RUN_STAGES, ShardStage, load_stage

ROOT = Path(__file__).resolve().parents[2]
STAGES = {
    name: entry["do"]
    for name, entry in YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"].items()
}


def test_every_stage_is_in_dvc_yaml_and_the_other_way_round():
    assert set(STAGES) == {*CORPUS_STAGES, *RUN_STAGES}
    assert {name for name in STAGES if isinstance(load_stage(name), ShardStage)} == set(RAY_STAGES) - {
        "ingestion",
        "realm",
    }


@pytest.mark.parametrize("name", STAGES)
def test_parameters_are_those_the_stage_reads(name):
    listed = {key.split(".")[0] for key in STAGES[name].get("params", [])}
    stage = load_stage(name)
    sections = {"recipes" if section == "recipe" else section for section in stage.sections}
    extra = {"ingestion": {"corpora"}, "training": {"runs"}}.get(name, set())
    assert listed == sections | extra
    assert "runtime" not in listed


@pytest.mark.parametrize("name", STAGES)
def test_artifacts_read_and_written_are_listed(name):
    stage, entry = load_stage(name), STAGES[name]
    outs = {out.split("/", 2)[2] for out in entry["outs"]}
    if not isinstance(stage, ShardStage):
        places = {
            place.split("/", 2)[2] for place in stage.outputs.values() if place.startswith("artifacts/")
        }
        assert outs == {place.replace("{run}", "${key}") for place in places}
        return
    assert outs == {stage.output}
    read = {dep.split("/", 2)[2] for dep in entry["deps"] if dep.startswith("artifacts/")}
    assert read == {contract.name for contract in stage.reads} | {*stage.sides, *stage.after}


@pytest.mark.parametrize("name", STAGES)
def test_the_code_of_a_stage_is_one_file(name):
    """No other code is listed by hand: what the file holds follows from the imports
    (tests/stages/identity/test_code_files.py).
    """
    of_system = "-${item.system}" if name in RUN_STAGES else ""
    code = [
        dep
        for dep in STAGES[name]["deps"]
        if not dep.startswith("artifacts/") and dep != "sources/${key}.json"
    ]
    assert code == [f"sources/code/{name}{of_system}.txt"]
