import math
from dataclasses import replace

import pytest

from data_contracts.evaluations import BASELINE, BM25_READERS
from model.parameters import Architecture
from model.presets import PAPER_SHAPE, SYSTEMS


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
    sizes = Architecture.of(SYSTEMS[name].build, replace(PAPER_SHAPE, layers=layers)).parameter_sizes()
    assert round(sum(map(math.prod, sizes.values())) / 1e6, 1) == millions


def test_the_names_that_reports_know_systems_by_are_those_of_presets() -> None:
    assert SYSTEMS[BASELINE].retriever == "none"
    assert {name for name, system in SYSTEMS.items() if system.retriever == "bm25"} == {*BM25_READERS}
