"""dvc.yaml, the stage records and the code must tell the same story; DVC would otherwise call a stale result fresh."""

import ast
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.stage import CORPUS_STAGES, RAY_STAGES, RUN_STAGES, ShardStage, load_stage

ROOT = Path(__file__).resolve().parents[2]
STAGES = {name: entry["do"] for name, entry in YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"].items()}

# These decide where and how a stage runs, not what it writes; parameter values are dependencies of their own.
RUNNERS = {
    "stages/ray_map.py",
    "stages/ray_workers.py",
    "stages/stage.py",
    "stages/messages.py",
    "stages/parameters.py",
    "stages/__init__.py",
    "stages/inventory.py",
    "stages/devices.py",
    "stages/event_file.py",
    "stages/interruption.py",
    "stages/training_log.py",
}


def test_every_stage_is_in_dvc_yaml_and_the_other_way_round():
    assert set(STAGES) == {*CORPUS_STAGES, *RUN_STAGES}
    assert {name for name in STAGES if isinstance(load_stage(name), ShardStage)} == set(RAY_STAGES) - {"ingestion"}


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
        places = {place.split("/", 2)[2] for place in stage.outputs.values() if place.startswith("artifacts/")}
        assert outs == {place.replace("{run}", "${key}") for place in places}
        return
    assert outs == {stage.output}
    read = {dep.split("/", 2)[2] for dep in entry["deps"] if dep.startswith("artifacts/")}
    assert read == {contract.name for contract in stage.reads} | {*stage.sides, *stage.after}


def imports_of(path: Path) -> set[Path]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = (
            [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
            if isinstance(node, ast.ImportFrom) and node.module
            else []
        )
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            for candidate in (ROOT / (name.replace(".", "/") + ".py"), ROOT / name.replace(".", "/") / "__init__.py"):
                if candidate.exists():
                    found.add(candidate)
    return found


@pytest.mark.parametrize("name", STAGES)
def test_all_code_that_can_change_the_bytes_is_a_dependency(name):
    seen, pending = set(), [ROOT / "stages" / f"{name}.py"]
    while pending:
        path = pending.pop()
        if path not in seen:
            seen.add(path)
            pending += imports_of(path)
    needed = {path.relative_to(ROOT).as_posix() for path in seen} - RUNNERS
    deps = STAGES[name]["deps"]
    missing = {
        path for path in needed if not any(path == dep or path.startswith(f"{dep}/") for dep in deps) and not path.endswith("__init__.py")
    }
    assert not missing
