"""`rpt report` and `rpt labels report`: the pages of corpora, brought up to date."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from data_contracts.failure import Exit, Failure
from flows.event_log import EventLog
from flows.execution import execute, prepare
from flows.terminal.display import Display
from flows.workspace import ROOT, workspace_lock
from stages.parameters import load

RUN, LABELS = "report", "label_report"
FIGURES = {RUN: "report.json", LABELS: "statistics.json"}
"""Stage that makes a page -> the file beside it that holds every figure."""


def page(stage: str, corpus: str) -> Path:
    """Where the page that a stage makes of a corpus is, relative to the root; its figures lie beside it."""
    return Path("artifacts") / corpus / stage / "index.html"


def bring_up_to_date(stage: str, corpora: list[str], verbose: bool) -> list[str]:
    """Run `stage` and what it needs, if that is stale, for the named corpora or all; returns their names.

    Progress goes to standard error.

    Raises:
        Failure: (exit code 2) for a corpus that params.yaml does not have; whatever a stage fails with.
    """
    known = list(load(ROOT / "params.yaml").corpora)
    if unknown := [corpus for corpus in corpora if corpus not in known]:
        raise Failure(
            f"corpus {unknown[0]!r}", "params.yaml does not name it", f"one of {', '.join(known)}", Exit.USAGE
        )
    display = Display(verbose, sys.stderr)
    try:
        with workspace_lock(f"rpt {stage.replace('_', ' ')}"):
            configuration, steps = prepare({}, [f"{stage}@{corpus}" for corpus in corpora or known])
            execute(steps, configuration, EventLog(display))
    finally:
        display.close()
    return corpora or known


def as_lines(stage: str, corpora: list[str]) -> list[str]:
    """Where the page of each corpus is, and what lies beside it."""
    beside = {
        RUN: ("figures", "report.json", "and one CSV file a figure"),
        LABELS: (
            "card",
            "README.md",
            "`./rpt labels publish` puts it and the labels on the Hugging Face Hub",
        ),
    }
    word, name, note = beside[stage]
    pages = [page(stage, corpus) for corpus in corpora]
    return [
        line for place in pages for line in (f"page  {place}", f"{word}  {place.with_name(name)}  ({note})")
    ]


def as_json(stage: str, corpora: list[str]) -> str:
    """The figures of each corpus as one JSON object."""
    return json.dumps(
        {
            corpus: json.loads((ROOT / page(stage, corpus)).with_name(FIGURES[stage]).read_text())
            for corpus in corpora
        }
    )
