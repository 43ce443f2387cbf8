"""A small workspace to look at: one corpus with documents, chunks, labels of two versions and evaluations."""

import shutil
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from benchmarks._label_sets import alter_label_set
from flows import cli
from flows.commands import explorer
from flows.labels import browser as label_browser
from flows.labels import versions as label_versions
from tests.docs.pages import ROOT
from tests.reports.explorer.evaluated import evaluate, make_corpus


@pytest.fixture(scope="session")
def looked_at(tmp_path_factory) -> Path:
    """The root of the workspace; it is not to be changed."""
    root = tmp_path_factory.mktemp("looked_at")
    home = make_corpus(
        root / "artifacts" / "demo",
        {f"{name}.txt": f"{name} of many words, said again and again. " * 80 for name in "ab"},
    )
    evaluate(home, "demo-transformer_xl", "transformer_xl")
    evaluate(home, "demo-rpt_sem", "rpt_sem", ("own", "none"), skill=0.5)
    alter_label_set(home / "labels", root / "before", lambda rows: rows.filter(pl.col("rank") < 4))
    return root


@pytest.fixture
def workspace(looked_at, tmp_path, monkeypatch) -> Path:
    """A copy of it in which the command line works; HEAD:demo and HEAD~1:demo are the labels of before."""
    root = tmp_path / "workspace"
    shutil.copytree(looked_at, root)
    shutil.copy2(ROOT / "params.yaml", root)
    real, before = label_versions.locate, root / "before" / "labels"

    def locate(version: str | None) -> Path:
        return before if version in ("HEAD:demo", "HEAD~1:demo") else real(version)

    for module in (cli.looking, cli.preparing, cli.planning, explorer, label_versions):
        monkeypatch.setattr(module, "ROOT", root)
    for module in (label_browser, label_versions):
        monkeypatch.setattr(module, "INDEX", tmp_path / "index")
        monkeypatch.setattr(module, "locate", locate)
    monkeypatch.setattr(explorer, "systems", partial(explorer.systems, index=tmp_path / "evaluations"))
    monkeypatch.chdir(root)
    return root
