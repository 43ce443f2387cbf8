import math
import subprocess
import sys
from dataclasses import replace

import pytest

from data_contracts.evaluations import BASELINE, BM25_READERS
from data_contracts.systems import RECORDS
from model.config import ModelConfig
from model.matching import as_many_parameters
from model.parameters import Architecture
from model.registry import PAPER_CONFIG, SYSTEMS


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
    gated, ungated = (
        Architecture.of(SYSTEMS[name].build, PAPER_CONFIG).parameter_sizes()
        for name in ("rpt_sem", "rpt_sem_ungated")
    )
    assert {*gated} - {*ungated} == {path for path in gated if path.startswith("fusion.gate.")}
    assert not {*ungated} - {*gated}


def test_every_record_leads_to_its_code_and_to_other_systems_that_there_are() -> None:
    assert all(system.name == name == RECORDS[name].name for name, system in SYSTEMS.items())
    assert SYSTEMS["griffin"] is SYSTEMS["griffin"]
    assert "griffon" not in SYSTEMS
    assert {record.recipe for record in RECORDS.values()} <= set(SYSTEMS)
    variants = {name: record.variant_of for name, record in RECORDS.items() if record.variant_of}
    assert set(variants.values()) <= set(SYSTEMS) - set(variants)
    assert len({record.title for record in RECORDS.values()}) == len(RECORDS)


def test_listing_names_imports_no_system() -> None:
    def imported(code: str) -> list[str]:
        shown = (
            f"import sys; {code}; print(*sorted(name for name in sys.modules if name.startswith(('jax.',"
            " 'model.baselines.'))))"
        )
        return subprocess.run(
            [sys.executable, "-c", shown], capture_output=True, text=True, check=True
        ).stdout.split()

    assert imported("from data_contracts.systems import RECORDS; RECORDS['griffin'].title") == []
    one = imported("from model.registry import SYSTEMS; [*SYSTEMS]; 'griffin' in SYSTEMS; SYSTEMS['retro']")
    assert [name for name in one if name.startswith("model.")] == ["model.baselines.retro"]


def test_the_names_that_reports_know_systems_by_are_those_of_presets() -> None:
    assert SYSTEMS[BASELINE].retriever == "none"
    assert {name for name, system in SYSTEMS.items() if system.retriever == "bm25"} == {*BM25_READERS}
