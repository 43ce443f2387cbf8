"""The flow `rpt`: one Prefect task a DVC stage that may have to run, in the order of the DAG. Prefect decides
when, DVC whether, Ray does the work.

Prefect's caching and result persistence stay off: it knows nothing of files, and would call a deleted
artifact done.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from data_contracts.failure import Failure
from flows.commands.outcome import outcome_lines
from flows.commands.pages import LABELS, page
from flows.event_log import EventLog
from flows.execution import execute, prepare
from flows.plan import Step
from flows.terminal.display import Display
from flows.workspace import ROOT, workspace_lock


class PrefectListener:
    """Logs to Prefect, and so to `prefect deployment run ... --watch`, what `rpt run` prints; notes are
    artifacts too.
    """

    def __init__(self) -> None:
        self._display = Display(stream=RunLog())

    def __call__(self, event: dict) -> None:
        """Handle one event in the context of the task or flow that is running."""
        self._display(event)
        match event["event"]:
            case "note":
                create_markdown_artifact(event["markdown"], key=f"rpt-note-{_key(event['stage'])}")
            case "failure":
                get_run_logger().error(f"{event['what']} | {event['cause']} | {event['remedy']}")
            case "finish":
                for line in outcome_lines(event["results"]):
                    get_run_logger().info(line)


class RunLog(io.TextIOBase):
    """A stream whose texts are messages of the log of the task or flow that is running."""

    def write(self, text: str) -> int:
        """Log the text without what ends it."""
        if text.strip():
            get_run_logger().info(text.rstrip())
        return len(text)


def _key(stage: str) -> str:
    """Artifact keys hold lower-case letters, digits and dashes only."""
    return "".join(letter if letter.isalnum() else "-" for letter in stage.lower())


def _as_task(step: Step, work: Callable[[], str]) -> str:
    if not step.stale:  # Prefect would call it completed
        return work()
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
