"""Retrieval from a whole corpus in a pipeline: off unless a run asks for it, and then from the index to the
report.
"""

import json
import re
from pathlib import Path

import pytest

from data_contracts.contract import open_artifact
from data_contracts.evaluations import EVALUATIONS
from tests.pipelines import private

RUNS = "{demo-transformer_xl: {corpus: demo, system: transformer_xl, input: sequences, seed: 0}, "
RUNS += "demo-retro_corpus: {corpus: demo, system: retro_corpus, input: corpus_neighbours, seed: 0}}"
EDITS = (
    "indexed_corpora=[demo]",
    f"runs={RUNS}",
    "recipes.retro_corpus.cca_layers=[2]",
    "corpus_neighbours.evaluation_neighbours=3",
)
STAGES = {"keys@demo", "index@demo", "corpus_neighbours@demo"}


def planned(root: Path, rpt, *stages: str) -> set[str]:
    return {row["stage"] for row in json.loads(rpt(root, "plan", *stages, "--json").stdout)["stages"]}


@pytest.fixture
def indexed(finished, rpt, tmp_path) -> Path:
    """A copy of the finished pipeline with a run that reads a whole corpus."""
    root = private(finished, tmp_path / "project")
    done = rpt(root, "config", *(part for edit in EDITS for part in ("-o", edit)))
    assert done.returncode == 0, done.stderr
    return root


def test_stages_are_planned_where_a_run_asks_for_them(project, indexed, tmp_path, rpt):
    without = private(project, tmp_path / "without")
    assert not {stage.split("@")[0] for stage in planned(without, rpt)} & {
        stage.split("@")[0] for stage in STAGES
    }
    refused = rpt(without, "config", "-o", f"runs={RUNS}")
    assert refused.returncode == 2
    assert "add 'demo' to indexed_corpora" in refused.stderr
    assert planned(indexed, rpt, "evaluation@demo-retro_corpus") >= STAGES
    assert not planned(indexed, rpt, "evaluation@demo-transformer_xl") & STAGES


@pytest.mark.slow
def test_from_the_index_to_the_report(indexed, rpt):
    """Neither the report nor what is scored of systems stumbles over one whose neighbours are no chunks of
    the document.
    """
    done = rpt(indexed, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passages of" in done.stdout
    rows = (
        open_artifact(EVALUATIONS, indexed / "artifacts/demo/evaluations/demo-retro_corpus")
        .read_all()
        .to_pylist()
    )
    assert {row["setting"] for row in rows} >= {"own", "none", "by_chance", "first_1"}
    losses = {(row["setting"], row["doc_id"], row["chunk"]): row["loss"] for row in rows}
    own = [key for key in losses if key[0] == "own" and ("by_chance", *key[1:]) in losses]
    assert any(losses[key] != losses["by_chance", *key[1:]] for key in own)
    assert rpt(indexed, "verify").returncode == 0
    found = rpt(indexed, "index", "search", "a paragraph", "--json")
    assert len(json.loads(found.stdout)["passages"]) == 5
    assert re.search(r"\| at most 16 +\| +\d+", rpt(indexed, "index", "leakage", "demo-retro_corpus").stdout)
    compared = rpt(indexed, "compare", "--systems", "transformer_xl", "retro_corpus", "--no-run")
    assert "How much is copied: RETRO, whole corpus on demo" in compared.stdout
    (indexed / "artifacts/demo/index/chunk.npy").chmod(0o644)
    (indexed / "artifacts/demo/index/chunk.npy").write_bytes(b"damaged")
    damaged = rpt(indexed, "verify")
    assert damaged.returncode == 3
    assert "chunk.npy is not as it was written" in damaged.stdout
