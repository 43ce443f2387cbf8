"""What a run says at its end."""

from __future__ import annotations

from flows.commands.pages import LABELS, RUN, page
from flows.workspace import ROOT

KEEP = 'git add params.yaml dvc.lock sources metrics && git commit -m "results"'
PAGES = {RUN: "Report", LABELS: "Labels"}


def outcome_lines(results: dict[str, str]) -> list[str]:
    """How much was done, how to keep it, and where the pages are that the run looked at; `results` is stage
    -> how it ended.
    """
    changed = [stage for stage, result in results.items() if result != "unchanged"]
    lines = [
        f"{len(changed)} of {len(results)} stages did something."
        + (f" To keep this version: {KEEP}" if changed else "")
    ]
    for stage in results:
        name, _, corpus = stage.partition("@")
        if name in PAGES and (ROOT / page(name, corpus)).exists():
            lines.append(f"{PAGES[name]}: {page(name, corpus)}")
    return lines
