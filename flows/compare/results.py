"""What there is of the runs of a comparison, read from artifacts, and where the comparison is kept."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import polars as pl

from data_contracts.candidates import CANDIDATES, LABELS
from data_contracts.ceilings import CEILING, CEILINGS
from data_contracts.contract import Contract, open_artifact
from data_contracts.evaluations import EVALUATIONS, ORACLE, OWN
from data_contracts.failure import Exit, Failure
from data_contracts.passages import CORPUS_NEIGHBOURS
from flows.commands.leakage import overlap_of
from flows.compare.runs import Wanted
from flows.workspace import ROOT
from reports.comparison.figures import Measured, corpus_comparison
from reports.comparison.page import markdown, render
from reports.comparison.rows import Comparison, Trained
from reports.metrics.evaluation_rows import Key, frames_of
from reports.metrics.figures_file import as_json
from stages.parameters import Configuration
from stages.report.report import rows_of
from stages.report.trained_runs import trained_run

PLACE = ROOT / "comparisons"
EVALUATED = {"evaluations": EVALUATIONS, ORACLE: EVALUATIONS, "dense": EVALUATIONS, CEILING: CEILINGS}
"""Where rows of evaluations may be, below artifacts/CORPUS: in settings of the system's own, the oracle's, a
swapped retriever's, mixed.
"""
COLUMNS = ["system", "setting", "doc_id", "chunk", "loss", "tokens", "bytes", "eligible", "ranking"]


def directory_of(name: str | None, chosen: list[Wanted]) -> Path:
    """Where a comparison is kept.

    Raises:
        Failure: (exit code 2) for a name that is no plain name of a directory.
    """
    name = name or "-".join(dict.fromkeys(one.corpus for one in chosen))
    if not re.fullmatch(r"[\w-][\w.-]{0,99}", name):
        raise Failure(
            f"--name {name!r}",
            "it is no plain name",
            "use at most 100 letters, digits, '-', '_' and '.'",
            Exit.USAGE,
        )
    return PLACE / name


def compared(
    configuration: Configuration, name: str, chosen: list[Wanted], stale: dict[str, str]
) -> Comparison:
    """The comparison; `stale` says of some runs why what there is of them is not of now.

    Raises:
        Failure: (exit code 3) if runs of a corpus were evaluated on different tokens, or an artifact is not
            as its contract says.
    """
    corpora: dict[str, list[Wanted]] = {}
    for one in chosen:
        corpora.setdefault(one.corpus, []).append(one)
    measured = [_measured(configuration, corpus, runs, stale) for corpus, runs in corpora.items()]
    return Comparison(
        name, [corpus_comparison(one, configuration.report.bootstrap_samples) for one in measured]
    )


def write(comparison: Comparison, target: Path) -> None:
    """The comparison in all its forms."""
    target.mkdir(parents=True, exist_ok=True)
    (target / "results.json").write_text(as_json(comparison), encoding="utf-8")
    (target / "table.md").write_text(markdown(comparison), encoding="utf-8")
    (target / "index.html").write_text(render(comparison), encoding="utf-8")


def _measured(
    configuration: Configuration, corpus: str, chosen: list[Wanted], stale: dict[str, str]
) -> Measured:
    home, split = ROOT / "artifacts" / corpus, configuration.evaluation.split
    geometry = configuration.geometry
    labels, candidates = (_rows(contract, home / contract.name, split) for contract in (LABELS, CANDIDATES))
    runs = [trained_run(one.name, one.corpus, one.system, one.seed, configuration, ROOT) for one in chosen]
    frames = _frames(home, runs)
    sizes = (geometry.chunk_tokens, geometry.stride_chunks)
    reads = any(run.retriever == "corpus" and (run.run, OWN) in frames for run in runs)
    overlap = _overlap(home) if reads else None
    return Measured(corpus, split, runs, frames, labels, candidates, *sizes, stale, overlap)


def _overlap(home: Path) -> pl.DataFrame | None:
    """None where passages are not there, or cannot be read: the tables do without."""
    if not _is_there(home / CORPUS_NEIGHBOURS.name):
        return None
    try:
        return overlap_of(home)
    except Failure as failure:
        sys.stderr.write(
            f'"How much is copied" is left out: {failure.what}: {failure.cause}; {failure.remedy}\n'
        )
        return None


def _frames(home: Path, runs: list[Trained]) -> dict[Key, pl.DataFrame]:
    places = [
        (run.run, contract, home / kind / run.run) for run in runs for kind, contract in EVALUATED.items()
    ]
    return frames_of(
        (
            run,
            open_artifact(contract, place).read_all(
                [name for name in COLUMNS if name in contract.schema.names]
            ),
        )
        for run, contract, place in places
        if _is_there(place)
    )


def _rows(contract: Contract, place: Path, split: str) -> pl.DataFrame | None:
    return rows_of(contract, place, split) if _is_there(place) else None


def _is_there(place: Path) -> bool:
    return (place / "manifest.json").exists()
