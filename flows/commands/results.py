"""`rpt results`: the figures of a profile's runs over their seeds, kept in git, and the page of all that are
kept.
"""

from __future__ import annotations

import json
from pathlib import Path

from data_contracts.contract import open_artifact
from data_contracts.evaluations import EVALUATIONS, OWN
from data_contracts.failure import Exit, Failure
from data_contracts.whole_files import write_atomically
from flows.execution import prepare
from flows.profiles import profile_path
from flows.workspace import ROOT
from reports.metrics.evaluation_rows import Evaluations, aligned, frames_of
from reports.metrics.figures_file import as_json, read_figures
from reports.results.figures import NONE, result_figures
from reports.results.page import markdown
from reports.results.result import GateVerdict, Result, SizedRow, TrainingSize
from stages.parameters import Configuration, load
from stages.report.report import parameter_count

KEPT = Path("metrics") / "results"
PAGE = "docs/results.md"
COLUMNS = ["system", "setting", "doc_id", "chunk", "loss", "tokens", "bytes", "eligible", "retrieved"]


def keep(profile: str) -> list[str]:
    """Write the figures of every corpus of a profile into metrics/results/, and the page of all that are
    kept; the names of the files.

    Raises:
        Failure: (exit code 2) for an unknown profile or one that params.yaml is not, (3) if a run is missing
            or stale.
    """
    path = profile_path(profile)
    configuration = load(ROOT / "params.yaml")
    if load(path) != configuration:
        remedy = f"./rpt run evaluation --profile {profile}"
        raise Failure(
            f"profile {profile!r}",
            "params.yaml has other values, and so would its results",
            remedy,
            Exit.USAGE,
        )
    _fresh(configuration, profile)
    names = []
    for corpus in configuration.corpora:
        name = KEPT / f"{profile}.{corpus}.json"
        result = corpus_result(configuration, profile, corpus, ROOT / "artifacts")
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(ROOT / name, as_json(result).encode())
        names.append(name.as_posix())
    write_atomically(ROOT / PAGE, results_page(ROOT).encode())
    return [*names, PAGE]


def _fresh(configuration: Configuration, profile: str) -> None:
    """Refuse figures that the code and parameters of now would not give."""
    _, steps = prepare({}, [f"evaluation@{run}" for run in configuration.runs])
    if stale := [step.stage for step in steps if step.stale]:
        cause = f"{len(stale)} stages are stale, first: {stale[0]}"
        raise Failure(
            f"profile {profile!r}", cause, f"./rpt run evaluation --profile {profile}", Exit.CONTRACT
        )


def corpus_result(configuration: Configuration, profile: str, corpus: str, artifacts: Path) -> Result:
    """All that is kept of a corpus; what the recipe says of size and updates, and the figures of its runs.

    Raises:
        Failure: (exit code 3) unless all runs of the corpus were evaluated on the identical tokens.
    """
    training, geometry, source = configuration.training, configuration.geometry, configuration.corpora[corpus]
    evaluations = evaluations_of(configuration, corpus, artifacts)
    figures = result_figures(evaluations, configuration.report.bootstrap_samples)
    rows = []
    for row in figures.rows:
        first = next(run for run, system in evaluations.systems.items() if system == row.system)
        parameters = parameter_count(artifacts / corpus / "models" / first / "model.safetensors")
        rows.append(SizedRow(**vars(row), parameters=parameters))
    gates = json.loads((artifacts / corpus / "label_gates" / "gates.json").read_text())["gates"]
    size = TrainingSize(
        layers=training.layers,
        width=training.width,
        heads=training.heads,
        copying=training.copying,
        lexical_start=training.lexical_start,
        steps=training.steps,
        tokens=training.steps * training.batch * geometry.sequence_tokens,
        sequence_tokens=geometry.sequence_tokens,
        vocabulary=configuration.tokenization.vocabulary_size,
    )
    verdicts = [GateVerdict(gate["name"], gate["verdict"] == "passed") for gate in gates]
    return Result(corpus, profile, source.source, size, verdicts, **{**vars(figures), "rows": rows})


def evaluations_of(configuration: Configuration, corpus: str, artifacts: Path) -> Evaluations:
    """The runs of a corpus side by side, each with its own neighbours and with none."""
    runs = {name: run for name, run in configuration.runs.items() if run.corpus == corpus}
    tables = (
        (name, open_artifact(EVALUATIONS, artifacts / corpus / "evaluations" / name).read_all(COLUMNS))
        for name in runs
    )
    frames = {key: rows for key, rows in frames_of(tables).items() if key[1] in (OWN, NONE)}
    return aligned(
        frames,
        {name: run.system for name, run in runs.items()},
        {name: run.seed for name, run in runs.items()},
    )


def results_page(root: Path) -> str:
    """The page of all figures that are kept below `root`.

    Raises:
        Failure: (exit code 3) if a file has another form than `keep` writes.
    """
    return markdown(
        [
            read_figures(Result, path, f"./rpt results {path.name.split('.')[0]}")
            for path in sorted((root / KEPT).glob("*.json"))
        ]
    )
