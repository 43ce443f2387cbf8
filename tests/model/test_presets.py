import importlib
import math
import subprocess
import sys
from dataclasses import replace

import pytest

from data_contracts.evaluations import BASELINE, BM25_READERS
from model.config import ModelConfig
from model.matching import as_many_parameters
from model.parameters import Architecture
from model.presets import PAPER_CONFIG, SYSTEMS
from model.systems import MODULE_OF


@pytest.mark.parametrize(
    ("name", "layers", "millions"),
    [
        ("transformer_xl", 12, 202.5),
        ("transformer_xl", 14, 227.7),
        ("retro", 12, 236.1),
        ("rpt_lex", 12, 242.4),
        ("rpt_sem", 12, 242.4),
        ("memorizing_32k", 12, 202.5),
        ("block_recurrent", 12, 211.9),
        ("griffin", 12, 239.3),
    ],
)
def test_parameters_of_the_paper(name: str, layers: int, millions: float) -> None:
    sizes = Architecture.of(SYSTEMS[name].build, replace(PAPER_CONFIG, layers=layers)).parameter_sizes()
    assert round(sum(map(math.prod, sizes.values())) / 1e6, 1) == millions


def count(name: str, config: ModelConfig = PAPER_CONFIG) -> int:
    return sum(map(math.prod, Architecture.of(SYSTEMS[name].build, config).sizes))


def test_deeper_transformer_xls() -> None:
    assert count("transformer_xl_plus_2") - count("transformer_xl") == 2 * (12 * 1024**2 + 2 * 1024)
    assert as_many_parameters(PAPER_CONFIG).layers == 15
    layer, difference = 12 * 1024**2 + 2 * 1024, count("transformer_xl_same_parameters") - count("rpt_sem")
    assert abs(difference) <= layer / 2
    assert round(count("transformer_xl_same_parameters") / 1e6, 1) == 240.3


def test_updates_relative_to_the_others() -> None:
    updates = {name: system.updates(PAPER_CONFIG, 16_384) for name, system in SYSTEMS.items()}
    assert updates["transformer_xl_longer"] == 1.5
    assert updates["transformer_xl_same_time"] == pytest.approx(1.27, abs=0.005)
    others = {*updates} - {"transformer_xl_longer", "transformer_xl_same_time"}
    assert {updates[name] for name in others} == {1.0}


def test_a_gate_that_is_open_has_no_parameters() -> None:
    gated, ungated = (Architecture.of(SYSTEMS[name].build, PAPER_CONFIG).parameter_sizes() for name in ("rpt_sem", "rpt_sem_ungated"))
    assert {*gated} - {*ungated} == {path for path in gated if path.startswith("fusion.gate.")}
    assert not {*ungated} - {*gated}


def test_each_system_is_in_the_file_that_the_table_says_and_only_there() -> None:
    modules = {name: importlib.import_module(f"model.systems.{name}") for name in dict.fromkeys(MODULE_OF.values())}
    assert sorted(system.name for module in modules.values() for system in module.SYSTEMS) == sorted(SYSTEMS)
    assert all(system.name == name for name, system in SYSTEMS.items())
    assert "griffon" not in SYSTEMS


def test_listing_names_imports_no_system() -> None:
    listed = "import sys; from model.presets import SYSTEMS; [*SYSTEMS]; 'griffin' in SYSTEMS; SYSTEMS['retro']"
    done = subprocess.run(
        [sys.executable, "-c", f"{listed}; print([name for name in sys.modules if name.startswith('model.systems.')])"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "['model.systems.retro']\n"


def test_the_names_that_reports_know_systems_by_are_those_of_presets() -> None:
    assert SYSTEMS[BASELINE].retriever == "none"
    assert {name for name, system in SYSTEMS.items() if system.retriever == "bm25"} == {*BM25_READERS}
