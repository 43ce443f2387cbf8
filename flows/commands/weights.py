"""`rpt weights`: trained runs and a few of their held-out documents as a folder of model/pretrained/, which
git tracks, with what rounding to float16 does to their perplexity.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data_contracts.contract import open_artifact
from data_contracts.documents import DOCUMENTS
from data_contracts.evaluations import EVALUATIONS
from data_contracts.failure import Exit, Failure
from data_contracts.whole_files import sha256, write_atomically
from flows.commands.results import COLUMNS
from flows.execution import prepare
from flows.workspace import ROOT
from model.registry import SYSTEMS
from reports.metrics.evaluation_rows import Evaluations, aligned, frames_of
from reports.results.figures import result_figures
from stages.evaluation.packaged import evaluate_model, package
from stages.parameters import Configuration, load
from stages.report.report import parameter_count
from stages.runner.resumption import COMPUTED_ON

KEPT = Path("model") / "pretrained"
READ = ("tokenizer", "chunks", "candidates")
"""Artifacts of a corpus that the evaluation of all its held-out documents reads, beside the models."""


def keep(runs: list[str], doc_ids: list[str]) -> Path:
    """Write the weights of `runs`, the documents `doc_ids` and `figures.json`; returns the folder. What else
    lies in an older folder of the corpus, such as its card, stays.

    Raises:
        Failure: (exit code 2) for a run that params.yaml does not have, for runs of several corpora or two of
            one system, or for a document that is not held out; (3) if a run is missing or stale.
    """
    configuration = load(ROOT / "params.yaml")
    corpus, names = _names(configuration, runs)
    _fresh(runs)
    target, source = ROOT / KEPT / corpus, ROOT / "artifacts" / corpus
    with tempfile.TemporaryDirectory(dir=ROOT / ".run") as scratch:
        made, whole = Path(scratch) / "made", Path(scratch) / "whole"
        package(source, names, doc_ids, made)
        for run, name in names.items():
            evaluate_model(made, name, configuration.runs[run], configuration, made)
        _look_like(source, made, whole)
        for run, name in names.items():
            evaluate_model(whole, name, configuration.runs[run], configuration, whole)
        figures = _figures(configuration, names, source, made, whole)
        write_atomically(made / "figures.json", (json.dumps(figures, indent=1) + "\n").encode())
        for place in made.iterdir():
            shutil.rmtree(target / place.name, ignore_errors=True)
        shutil.copytree(made, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(COMPUTED_ON))
    return KEPT / corpus


def _names(configuration: Configuration, runs: list[str]) -> tuple[str, dict[str, str]]:
    """The corpus of the runs, and under which name each is kept: that of its system."""
    if unknown := [run for run in runs if run not in configuration.runs]:
        known = ", ".join(configuration.runs)
        raise Failure(f"run {unknown[0]!r}", "params.yaml does not name it", f"one of {known}", Exit.USAGE)
    corpora = {configuration.runs[run].corpus for run in runs}
    names = {run: configuration.runs[run].system for run in runs}
    if other := [run for run, name in names.items() if SYSTEMS[name].supervision == "corpus"]:
        remedy = "name runs that read the past of a document"
        raise Failure(f"run {other[0]!r}", "it reads a whole corpus, which is not kept", remedy, Exit.USAGE)
    if len(corpora) != 1 or len({*names.values()}) != len(runs):
        cause = f"they are {', '.join(f'{run} ({name})' for run, name in names.items())}"
        remedy = "name runs of one corpus, each of another system"
        raise Failure("these runs do not make one folder", cause, remedy, Exit.USAGE)
    return corpora.pop(), names


def _fresh(runs: list[str]) -> None:
    _, steps = prepare({}, [f"evaluation@{run}" for run in runs])
    if stale := [step.stage for step in steps if step.stale]:
        remedy = f"./rpt run {' '.join(f'evaluation@{run}' for run in runs)}"
        raise Failure("weights", f"{len(stale)} stages are stale, first: {stale[0]}", remedy, Exit.CONTRACT)


def _look_like(source: Path, made: Path, whole: Path) -> None:
    """A folder `whole` with all held-out documents of the corpus and the rounded models."""
    whole.mkdir()
    for place in READ:
        (whole / place).symlink_to(source / place)
    (whole / "models").symlink_to(made / "models")


def _figures(
    configuration: Configuration, names: dict[str, str], source: Path, made: Path, whole: Path
) -> dict[str, Any]:
    trained = {name: f"evaluations/{run}" for run, name in names.items()}
    kept = {name: f"evaluations/{name}" for name in names.values()}
    samples = configuration.report.bootstrap_samples

    def of(root: Path, places: dict[str, str]) -> dict[str, Any]:
        return asdict(result_figures(_evaluations(configuration, names, root, places), samples))

    documents = open_artifact(DOCUMENTS, made / "documents").read_all(["doc_id", "source", "license"])
    return {
        "runs": [
            {
                "run": run,
                "name": name,
                "seed": configuration.runs[run].seed,
                "parameters": parameter_count(made / "models" / name / "model.safetensors"),
                "sha256": sha256(made / "models" / name / "model.safetensors"),
            }
            for run, name in names.items()
        ],
        "held_out": {"float32": of(source, trained), "float16": of(whole, kept)},
        "sample": {"documents": documents.to_pylist(), "float16": of(made, kept)},
    }


def _evaluations(
    configuration: Configuration, names: dict[str, str], root: Path, places: dict[str, str]
) -> Evaluations:
    tables = (
        (name, open_artifact(EVALUATIONS, root / place).read_all(COLUMNS)) for name, place in places.items()
    )
    seeds = {name: configuration.runs[run].seed for run, name in names.items()}
    return aligned(frames_of(tables), {name: name for name in places}, seeds)
