"""`rpt up`, `rpt down` and `rpt env`: a Prefect server and worker that stay."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import sys
import threading
import time

import psutil

from data_contracts.failure import Exit, Failure
from flows.commands.watch import POLL_SECONDS, Watcher
from flows.event_log import Follower
from flows.workspace import QUIET, ROOT, STATE, child_environment
from infra.services import DEPLOYMENT, mark_orphans_crashed, services

SERVING = STATE / "up.json"


def serve(port: int) -> int:
    """Run the services in the foreground until SIGINT or SIGTERM.

    Raises:
        Failure: (exit code 7) if they already run, (5) if they do not come up.
    """
    if running := serving():
        cause = f"process {running['pid']} serves {running['api_url']}"
        raise Failure(
            "this workspace is up already", cause, "use it, or stop it with ./rpt down", Exit.LOCKED
        )
    stop_now = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop_now.set())
    sys.stdout.write("starting the Prefect server and a worker ...\n")
    try:
        with services(ROOT, child_environment(), os.environ.get("PREFECT_API_URL"), port) as running_services:
            mark_orphans_crashed(running_services)
            me = {
                "pid": os.getpid(),
                "created": psutil.Process().create_time(),
                "api_url": running_services.api_url,
            }
            SERVING.write_text(json.dumps(me))
            sys.stdout.write(
                f"up: {running_services.api_url.removesuffix('/api')}\n"
                f'in another shell:  eval "$({shlex.quote(str(ROOT / "rpt"))} env)"\n'
                f"then:              prefect deployment run {DEPLOYMENT} && ./rpt watch\n"
                "as a page:         ./rpt watch --page\n"
                "stop with Ctrl-C or ./rpt down\n"
            )
            sys.stdout.flush()
            _show_runs(stop_now)
    finally:
        SERVING.unlink(missing_ok=True)
    return Exit.DONE


def _show_runs(stop_now: threading.Event) -> None:
    """Show every run that begins, as `rpt run` would, until it is time to stop."""
    follow, watcher = Follower(skip=True), Watcher()
    try:
        while not stop_now.wait(POLL_SECONDS):
            for event in follow():
                watcher(event)
    finally:
        watcher.close()


def stop() -> int:
    """End the services of this workspace and wait until they are gone."""
    running = serving()
    if not running:
        sys.stdout.write("nothing is up\n")
        return Exit.DONE
    os.kill(running["pid"], signal.SIGTERM)
    while serving():
        time.sleep(0.1)
    sys.stdout.write("stopped\n")
    return Exit.DONE


def environment_lines() -> list[str]:
    """Shell exports for PATH, telemetry and, while the services are up, the address of the API."""
    values = {**QUIET, "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    if running := serving():
        values["PREFECT_API_URL"] = running["api_url"]
    lines = [f"export {key}={shlex.quote(value)}" for key, value in values.items()]
    return [f'export PATH={shlex.quote(str(ROOT / ".venv" / "bin"))}:"$PATH"', *lines]


def serving() -> dict | None:
    """What up.json says, if the very process that wrote it still runs; numbers of ended processes are used
    again.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, psutil.Error):
        running = json.loads(SERVING.read_text())
        process = psutil.Process(running["pid"])
        if process.create_time() == running["created"] and process.status() != psutil.STATUS_ZOMBIE:
            return running
    return None
