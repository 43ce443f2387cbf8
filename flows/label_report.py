"""`rpt labels report`: the page and the card of labels, brought up to date."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from data_contracts.failure import Exit, Failure
from flows.display import Display
from flows.execution import EventLog, execute, prepare
from flows.workspace import ROOT, workspace_lock
from stages.parameters import load

PLACE = "label_report"


def label_page(corpus: str) -> Path:
    """Where the page of a corpus's labels is, relative to the root; the card README.md and statistics.json lie beside it."""
    return Path("artifacts") / corpus / PLACE / "index.html"


def bring_up_to_date(corpora: list[str], verbose: bool) -> list[str]:
    """Run stage `label_report` and what it needs, if that is stale, for the named corpora or all; returns their names.

    Progress goes to standard error.

    Raises:
        Failure: (exit code 2) for a corpus that params.yaml does not have; whatever a stage fails with.
    """
    known = list(load(ROOT / "params.yaml").corpora)
    if unknown := [corpus for corpus in corpora if corpus not in known]:
        raise Failure(f"corpus {unknown[0]!r}", "params.yaml does not name it", f"one of {', '.join(known)}", Exit.USAGE)
    display = Display(verbose, sys.stderr)
    try:
        with workspace_lock("rpt labels report"):
            configuration, steps = prepare({}, [f"{PLACE}@{corpus}" for corpus in corpora or known])
            execute(steps, configuration, EventLog(display))
    finally:
        display.close()
    return corpora or known


def as_lines(corpora: list[str]) -> list[str]:
    """Where the page and the card of each corpus are."""
    return [
        line
        for corpus in corpora
        for page in [label_page(corpus)]
        for line in (f"page  {page}", f"card  {page.with_name('README.md')}  (it says how to put the labels on the Hugging Face Hub)")
    ]


def as_json(corpora: list[str]) -> str:
    """The statistics of each corpus as one JSON object."""
    return json.dumps({corpus: json.loads((ROOT / label_page(corpus)).with_name("statistics.json").read_text()) for corpus in corpora})
