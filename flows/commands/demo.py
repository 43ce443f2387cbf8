"""`rpt demo`: the deployment, run for real on a private server, with its progress shown here and its figures
at the end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

from data_contracts.failure import Exit, Failure
from flows.commands.pages import LABELS, page
from flows.event_log import Follower
from flows.execution import prepare
from flows.terminal.display import Display
from flows.workspace import ROOT, child_environment, workspace_lock
from infra.services import DEPLOYMENT, Services, mark_orphans_crashed, prefect_client, services
from stages.parameters import load

POLL_SECONDS = 0.5
STATE_SECONDS = 3.0


def run_demo(overrides: dict[str, object], verbose: bool) -> int:
    """Start services, run `rpt/full-pipeline`, show it, stop everything, print the headline; where nothing is
    stale, only the last.

    Raises:
        Failure: with the exit code of whatever failed.
        KeyboardInterrupt: after everything has been stopped.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    began = time.monotonic()
    with workspace_lock("rpt demo"):
        _, steps = prepare(overrides, [])
    if not any(step.stale for step in steps):
        _say(f"{len(steps)} stages, nothing to do")
        _summarise(time.monotonic() - began)
        return Exit.DONE
    _say("Starting a private Prefect server and a worker on loopback (about 20 s the first time) ...")
    display = Display(verbose)
    try:
        with services(ROOT, child_environment(), None, None) as running:
            mark_orphans_crashed(running)
            _say(
                f"Prefect {running.api_url.removesuffix('/api')} is up after {time.monotonic() - began:.0f}"
                f" s; running {DEPLOYMENT}"
            )
            failure = _run_deployment(running, display)
    finally:
        display.close()
    if failure:
        raise failure
    _summarise(time.monotonic() - began)
    return Exit.DONE


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _run_deployment(running: Services, display: Display) -> Failure | None:
    """Start the run and show its events until Prefect calls it finished."""
    events = Follower(skip=True)
    with prefect_client(running) as client:
        from prefect.deployments import run_deployment
        from prefect.states import Cancelled

        flow_run: Any = run_deployment(DEPLOYMENT, timeout=0, as_subflow=False)
        try:
            return _follow(client, flow_run.id, events, display)
        except KeyboardInterrupt:
            display.close()
            _say("stopping ...")
            client.set_flow_run_state(flow_run.id, Cancelled(message="interrupted"), force=True)
            raise


def _follow(client, flow_run_id, events: Follower, display: Display) -> Failure | None:
    asked, failure = 0.0, None
    while True:
        finished = None
        if time.monotonic() - asked > STATE_SECONDS:
            asked = time.monotonic()
            state = client.read_flow_run(flow_run_id).state
            finished = state if state and state.is_final() else None
        for event in events():
            display(event)
            if event["event"] == "failure":
                failure = Failure(event["what"], event["cause"], event["remedy"], Exit(event["code"]))
            asked = 0.0 if event["event"] in ("finish", "failure") else asked
        if finished:
            if failure or finished.is_completed():
                return failure
            return Failure(
                "the flow run did not complete", f"{finished.name}: {finished.message}", "see .run/worker.log"
            )
        time.sleep(POLL_SECONDS)


def _summarise(seconds: float) -> None:
    for corpus in load(ROOT / "params.yaml").corpora:
        report = ROOT / "artifacts" / corpus / "report"
        _say("")
        for line in json.loads((report / "report.json").read_text())["headline"]:
            _say(f"  {line}")
        _say(f"\n  report     {os.path.relpath(report / 'index.html', ROOT)}  (open it in a browser)")
        _say(
            f"  labels     {page(LABELS, corpus)}  (what they are worth; artifacts/{corpus}/labels/*.parquet)"
        )
        _say(f"  everything artifacts/{corpus}/")
    _say(f"\nDone in {seconds:.0f} s. Change something and run again: only what depends on it will run.")
