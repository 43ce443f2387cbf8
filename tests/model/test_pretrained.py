"""The weights that come with the project: intact, as good as their figures say, and better with retrieval."""

import json
import math
import re

import numpy as np
import polars as pl
import pytest

from data_contracts.contract import open_artifact
from data_contracts.evaluations import EVALUATIONS
from data_contracts.whole_files import sha256
from model.pretrained import CODE
from stages.evaluation.packaged import KEPT
from stages.evaluation.texts import TextReader

FIGURES = json.loads((CODE / "figures.json").read_text())
CARD = (CODE / "README.md").read_text()
NAMES = [run["name"] for run in FIGURES["runs"]]
TOLERANCE = 1e-3
"""Of a perplexity, relative: processors add in other orders."""


@pytest.fixture(scope="module")
def document() -> dict:
    """The shortest document of the sample."""
    rows = open_artifact(KEPT["documents"], CODE / "documents").read_all().to_pylist()
    return min(rows, key=lambda row: row["num_chars"])


def evaluated(name: str, setting: str) -> pl.DataFrame:
    rows = open_artifact(EVALUATIONS, CODE / "evaluations" / name).read_all()
    return pl.DataFrame(pl.from_arrow(rows)).filter(pl.col("setting") == setting).sort("doc_id", "chunk")


def test_every_file_is_the_one_that_was_kept_and_all_are_small():
    assert NAMES == ["transformer_xl", "rpt_sem"]
    for run in FIGURES["runs"]:
        assert sha256(CODE / "models" / run["name"] / "model.safetensors") == run["sha256"]
    for place, contract in KEPT.items():
        assert open_artifact(contract, CODE / place).read_all().num_rows
    assert sum(path.stat().st_size for path in CODE.rglob("*") if path.is_file()) < 4e6
    assert {row["license"] for row in FIGURES["sample"]["documents"]} == {"PSF-2.0"}


def test_the_figures_of_the_sample_are_those_of_its_evaluations():
    for row in FIGURES["sample"]["float16"]["rows"]:
        rows = evaluated(row["system"], "own")
        assert rows["tokens"].sum() == FIGURES["sample"]["float16"]["tokens"]["all"]
        found = math.exp(rows["loss"].cast(pl.Float64).sum() / rows["tokens"].sum())
        assert found == pytest.approx(row["all"]["perplexity"]["value"], rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_reader_finds_the_losses_and_neighbours_that_the_explorer_shows(name, document):
    reading = TextReader(CODE, name).read(document["text"])
    assert "".join(reading.chunks) == f"<|endoftext|>{document['text']}<|endoftext|>"
    for setting, losses in reading.losses.items():
        rows = evaluated(name, setting).filter(pl.col("doc_id") == document["doc_id"])
        shown = np.concatenate(rows["token_losses"].to_list())
        found = losses[: len(shown)]
        assert math.exp(found.mean()) == pytest.approx(math.exp(shown.mean()), rel=TOLERANCE)
        assert np.median(np.abs(found - shown)) < TOLERANCE
    if name == "transformer_xl":
        assert set(reading.losses) == {"own"}
        assert not reading.retrieved
        return
    assert reading.perplexity("none") > 1.05 * reading.perplexity("own")
    assert reading.bits_per_byte("none") > reading.bits_per_byte("own")
    shown = {
        row["chunk"]: tuple(row["retrieved"])
        for row in evaluated(name, "own")
        .filter(pl.col("doc_id") == document["doc_id"], pl.col("retrieved").list.len() > 0)
        .iter_rows(named=True)
    }
    found = {one.chunk: one.neighbours for one in reading.retrieved if one.chunk in shown}
    assert set(found) == set(shown)
    assert np.mean([found[chunk] == shown[chunk] for chunk in shown]) > 0.99
    losses = {setting: dict(_losses(name, setting, document)) for setting in reading.losses}
    for one in reading.retrieved:
        if one.chunk in shown:
            gain = losses["none"][one.chunk] - losses["own"][one.chunk]
            assert one.gain == pytest.approx(gain, abs=0.1), one.chunk
    whole = reading.losses["none"].sum() - reading.losses["own"].sum()
    assert sum(one.gain for one in reading.retrieved) == pytest.approx(whole, rel=1e-3)


def _losses(name: str, setting: str, document: dict) -> list[tuple[int, float]]:
    """(chunk, nats of the next) of all whose next chunk was counted whole."""
    rows = evaluated(name, setting).filter(pl.col("doc_id") == document["doc_id"])
    return rows.select("chunk", "loss").rows()


def test_the_card_has_the_figures():
    said = re.sub(r"\s+", " ", CARD)
    for kind in ("float32", "float16"):
        for row in FIGURES["held_out"][kind]["rows"]:
            assert f"{row['all']['perplexity']['value']:.3f}" in said, (kind, row["system"])
    (ours,) = (row for row in FIGURES["held_out"]["float16"]["rows"] if row["system"] == "rpt_sem")
    for figure in ("over_transformer_xl", "without_neighbours"):
        gain = ours["all"][figure]
        assert f"{gain['value']:.3f} [{gain['low']:.3f}, {gain['high']:.3f}]" in said, figure
    for row in FIGURES["sample"]["documents"]:
        assert row["doc_id"] in said
    for run in FIGURES["runs"]:
        assert f"{run['parameters']:,}" in said
