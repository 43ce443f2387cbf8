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

from data_contracts.failure import Exit, Failure
from flows.workspace import QUIET, ROOT, STATE, child_environment
from infra.services import DEPLOYMENT, mark_orphans_crashed, services

SERVING = STATE / "up.json"


def serve(port: int) -> int:
    """Run the services in the foreground until SIGINT or SIGTERM.

    Raises:
        Failure: (exit code 7) if they already run, (5) if they do not come up.
    """
    if running := _serving():
        cause = f"process {running['pid']} serves {running['api_url']}"
        raise Failure("this workspace is up already", cause, "use it, or stop it with ./rpt down", Exit.LOCKED)
    stop_now = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop_now.set())
    sys.stdout.write("starting the Prefect server and a worker ...\n")
    with services(ROOT, child_environment(), os.environ.get("PREFECT_API_URL"), port) as running_services:
        mark_orphans_crashed(running_services)
        SERVING.write_text(json.dumps({"pid": os.getpid(), "api_url": running_services.api_url}))
        try:
            sys.stdout.write(
                f"up: {running_services.api_url.removesuffix('/api')}\n"
                f'in another shell:  eval "$({shlex.quote(str(ROOT / "rpt"))} env)"\n'
                f"then:              prefect deployment run {DEPLOYMENT} --watch\n"
                "stop with Ctrl-C or ./rpt down\n"
            )
            sys.stdout.flush()
            stop_now.wait()
        finally:
            SERVING.unlink(missing_ok=True)
    return Exit.DONE


def stop() -> int:
    """End the services of this workspace and wait until they are gone."""
    running = _serving()
    if not running:
        sys.stdout.write("nothing is up\n")
        return Exit.DONE
    os.kill(running["pid"], signal.SIGTERM)
    while _alive(running["pid"]):
        time.sleep(0.1)
    sys.stdout.write("stopped\n")
    return Exit.DONE


def environment_lines() -> list[str]:
    """Shell exports for PATH, telemetry and, while the services are up, the address of the API."""
    values = {**QUIET, "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    if running := _serving():
        values["PREFECT_API_URL"] = running["api_url"]
    lines = [f"export {key}={shlex.quote(value)}" for key, value in values.items()]
    return [f'export PATH={shlex.quote(str(ROOT / ".venv" / "bin"))}:"$PATH"', *lines]


def _serving() -> dict | None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        running = json.loads(SERVING.read_text())
        if _alive(running["pid"]):
            return running
    return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
