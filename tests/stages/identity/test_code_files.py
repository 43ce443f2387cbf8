"""Which stages an edit of this checkout's code makes stale: those whose result it can change, and
no other.
"""

import ast
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from data_contracts.failure import Failure
from data_contracts.systems import RECORDS
from stages.identity.code_files import PLACE, code_of, modules_of, write_code_files
from stages.identity.code_identity import LEFT_OUT, Code
from stages.parameters import Run, load
from stages.runner.stage import CORPUS_STAGES, RUN_STAGES

ROOT = Path(__file__).resolve().parents[3]
OF_RUNS = {f"{stage}-{system}" for stage in RUN_STAGES for system in ("rpt_sem", "griffin")}
OF_GRIFFIN = {name for name in OF_RUNS if name.endswith("griffin")}
WITH_ENGINES = {"scoring", "label_gates", "exhaustive", "retrieved"}


@pytest.fixture(scope="module")
def configuration():
    loaded = load(ROOT / "params.yaml")
    runs = {system: Run(corpus="demo", system=system, input="sequences") for system in ("rpt_sem", "griffin")}
    return loaded.model_copy(update={"runs": runs})


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    for folder in ("stages", "model", "data_contracts", "reports"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return root


@pytest.fixture
def changed_by(copy, configuration, monkeypatch):
    """(file, old, new) -> the code files that this edit changes; it is undone."""
    monkeypatch.chdir(copy)

    def written() -> dict[str, str]:
        write_code_files(configuration)
        return {path.stem: path.read_text() for path in PLACE.iterdir()}

    def changed_by(file: str, old: str, new: str) -> set[str]:
        before, path = written(), copy / file
        assert {*before} == {*CORPUS_STAGES, *OF_RUNS}
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        try:
            after = written()
        finally:
            path.write_text(text)
        assert all(f" {file}\n" in after[name] for name in before if after[name] != before[name])
        return {name for name in before if after[name] != before[name]}

    return changed_by


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("stages/ingestion/readers.py", "\nimport ", "\n# A comment.\nimport "),
        ("model/baselines/griffin.py", '"""Griffin', '"""Hawk and Griffin'),
        ("reports/html/style.py", "#0072b2", "#0072b3"),
        ("stages/training/log.py", "WINDOW = 50", "WINDOW = 60"),
        ("model/training_cost.py", "inner = 2 *", "inner = 3 *"),
        ("stages/scoring/monitor.py", "\nimport ", "\nimport this\nimport "),
    ],
    ids=["comment", "docstring", "style sheet", "log", "how operations are counted", "monitor"],
)
def test_nothing_is_stale_after_an_edit_that_changes_no_result(changed_by, file, old, new):
    assert changed_by(file, old, new) == set()


@pytest.mark.parametrize(
    ("file", "old", "new", "stale"),
    [
        ("model/baselines/griffin.py", "RATE = 8.0", "RATE = 9.0", OF_GRIFFIN),
        (
            "model/rpt.py",
            "\nclass RPT",
            "\nK = 1\n\n\nclass RPT",
            {name for name in OF_RUNS if name.endswith("rpt_sem")},
        ),
        ("stages/ingestion/readers.py", "\nimport ", "\nimport this\nimport ", {"ingestion"}),
        ("stages/supervision/packing.py", "STAGE = ", "K = 1\nSTAGE = ", {"packing"}),
        (
            "reports/metrics/lengths.py",
            "\ndef ",
            "\nK = 1\n\n\ndef ",
            {"mining", "query_supervision", "report"},
        ),
        ("stages/engines/jax_engine.py", "\nclass ", "\nK = 1\n\n\nclass ", WITH_ENGINES),
        ("stages/engines/vllm_engine.py", "\nclass ", "\nK = 1\n\n\nclass ", WITH_ENGINES),
        ("data_contracts/systems.py", '"Griffin"', '"Griffin, 2024"', {"report"}),
        ("data_contracts/contract.py", "\ndef ", "\nK = 1\n\n\ndef ", {*CORPUS_STAGES, *OF_RUNS}),
    ],
)
def test_what_can_change_a_result_makes_stale_what_it_can_change(changed_by, file, old, new, stale):
    assert changed_by(file, old, new) == stale


@pytest.mark.parametrize("system", RECORDS)
def test_a_run_depends_on_no_other_family(system):
    files = {*Code(ROOT).files(*modules_of("training", system))}
    families = {f"{module.replace('.', '/')}.py" for record in RECORDS.values() for module in record.modules}
    assert files & {name for name in families if name.startswith("model/systems/")} <= {
        f"{module.replace('.', '/')}.py" for module in RECORDS[system].modules
    }


@pytest.mark.parametrize(
    ("changes", "stale"),
    [
        ({"carry": "document"}, True),
        ({"build": "model.baselines.griffin:other"}, True),
        ({"updates": 2.0}, True),
        (
            {
                "title": "Hawk",
                "cost": "model.training_cost:fused_macs",
                "published": (),
                "recipe": "retro",
                "variant_of": "retro",
            },
            False,
        ),
    ],
)
def test_a_run_depends_on_what_its_own_record_decides(monkeypatch, changes, stale):
    def code() -> dict[str, dict[str, str]]:
        return {system: code_of(Code(ROOT), "training", system) for system in ("griffin", "retro")}

    before = code()
    monkeypatch.setitem(RECORDS, "griffin", replace(RECORDS["griffin"], **changes))
    after = code()
    assert (after["griffin"] != before["griffin"]) == stale
    assert after["retro"] == before["retro"]


def test_what_is_left_out_exists_and_the_looks_are_nothing_but_a_text():
    assert [name for name in LEFT_OUT if not (ROOT / name).is_file()] == []
    _, _, css = ast.parse((ROOT / "reports/html/style.py").read_text()).body
    assert isinstance(css, ast.Assign)
    assert isinstance(css.value, ast.Constant)


def test_nothing_looks_at_what_the_meaning_leaves_out():
    words = re.compile(
        r"\b(__doc__|getdoc|__annotations__|get_type_hints|signature|singledispatch|beartype|typechecked)\b"
    )
    for folder in ("stages", "model", "data_contracts", "reports"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not words.search(path.read_text()), path


def test_a_system_that_there_is_not_is_named():
    with pytest.raises(Failure, match="griffon"):
        modules_of("training", "griffon")
