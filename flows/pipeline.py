"""The flow `rpt`: one Prefect task a DVC stage, in the order of the DAG. Prefect decides when, DVC whether,
Ray does the work.

Prefect's caching and result persistence stay off: it knows nothing of files, and would call a deleted
artifact done.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE

from data_contracts.failure import Failure
from flows.commands.pages import LABELS, page
from flows.event_log import EventLog
from flows.execution import execute, prepare
from flows.plan import Step
from flows.terminal.display import progress_figures
from flows.workspace import ROOT, workspace_lock

PROGRESS_SECONDS = 2.0


class PrefectListener:
    """Turns events into Prefect logs, progress artifacts and notes."""

    def __init__(self) -> None:
        self._bars: dict[str, Any] = {}
        self._updated = 0.0

    def __call__(self, event: dict) -> None:
        """Handle one event in the context of the task or flow that is running."""
        logger = get_run_logger()
        match event["event"]:
            case "line":
                logger.info(event["text"])
            case "note":
                logger.info(event["markdown"])
                create_markdown_artifact(event["markdown"], key=f"rpt-note-{_key(event['stage'])}")
            case "failure":
                logger.error(f"{event['what']} | {event['cause']} | {event['remedy']}")
            case "progress":
                self._progress(event, logger)

    def _progress(self, event: dict, logger: logging.Logger | logging.LoggerAdapter) -> None:
        finished = event["done"] >= event["total"]
        if time.monotonic() - self._updated < PROGRESS_SECONDS and not finished:
            return
        self._updated = time.monotonic()
        stage, share = event["stage"], 100 * event["done"] / event["total"]
        logger.info(progress_figures(event))
        if stage not in self._bars:
            self._bars[stage] = create_progress_artifact(
                share, key=f"rpt-progress-{_key(stage)}", description=stage
            )
        else:
            update_progress_artifact(self._bars[stage], share)


def _key(stage: str) -> str:
    """Artifact keys hold lower-case letters, digits and dashes only."""
    return "".join(letter if letter.isalnum() else "-" for letter in stage.lower())


def _as_task(step: Step, work: Callable[[], str]) -> str:
    return task(
        name=step.stage.split("@")[0], task_run_name=step.stage, persist_result=False, cache_policy=NO_CACHE
    )(lambda: work())()


def _summary(results: dict[str, str], configuration: Any) -> str:
    rows = "\n".join(f"| {stage} | {result} |" for stage, result in results.items())
    text = f"| stage | outcome |\n|---|---|\n{rows}\n"
    for corpus in configuration.corpora:
        path = ROOT / "artifacts" / corpus / "report" / "report.json"
        if results.get(f"report@{corpus}") and path.exists():
            lines = "\n".join(f"- {line}" for line in json.loads(path.read_text())["headline"])
            text += (
                f"\n## {corpus}\n\n{lines}\n\nWhole report: `artifacts/{corpus}/report/index.html`; labels:"
                f" `{page(LABELS, corpus)}`\n"
            )
    return text


@flow(name="rpt", persist_result=False, validate_parameters=True)
def rpt(
    stages: list[str] | None = None, overrides: dict[str, Any] | None = None, profile: str | None = None
) -> dict[str, str]:
    """Bring the named stages and their stale ancestors up to date; no names means the whole pipeline.

    Args:
        stages: names of dvc.yaml such as `scoring` or `scoring@demo`.
        overrides: dotted keys of params.yaml and their new values; they are written there and stay.
        profile: a whole configuration of profiles/, copied to params.yaml first.

    Raises:
        Failure: what went wrong, why, and what to do.
    """
    with workspace_lock("the Prefect flow rpt"):
        log = EventLog(PrefectListener())
        try:
            configuration, steps = prepare(overrides or {}, stages or [], profile)
        except Failure as failure:
            log(
                "failure",
                code=int(failure.code),
                what=failure.what,
                cause=failure.cause,
                remedy=failure.remedy,
            )
            raise
        results = execute(steps, configuration, log, _as_task)
        create_markdown_artifact(
            _summary(results, configuration),
            key="rpt-summary",
            description="What each stage did, and the headline",
        )
        return results
