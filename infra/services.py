"""The local Prefect services: a server and a worker on loopback, supervised, with the deployment registered.

The user's own Prefect profile and database are never touched: everything lives in `.run/prefect`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from data_contracts.failure import Exit, Failure
from infra.supervisor import release, supervised

POOL = "rpt-local"
DEPLOYMENT = "rpt/full-pipeline"
START_SECONDS = 180.0
DEFAULT_PORT = 4200


def prefect_environment(root: Path, environment: dict[str, str], api_url: str) -> dict[str, str]:
    """The environment of a Prefect process of this workspace."""
    return {
        **environment,
        "PREFECT_API_URL": api_url,
        "PREFECT_HOME": str(root / ".run" / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        # `prefect deployment run ... --watch` reads the log of a run from a stream
        "PREFECT_SERVER_LOGS_STREAM_OUT_ENABLED": "true",
        "PREFECT_SERVER_LOGS_STREAM_PUBLISHING_ENABLED": "true",
        "NO_COLOR": "1",
    }


def free_port(preferred: int | None) -> int:
    """`preferred` if nothing listens there, else any free port of loopback."""
    for port in (preferred, 0):
        if port is None:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return probe.getsockname()[1]
    raise Failure("no free port on loopback", "bind failed", "end some servers", Exit.ENVIRONMENT)


@dataclass(frozen=True)
class Services:
    """Running services: where the API is, and the environment to reach it."""

    api_url: str
    environment: dict[str, str]
    own_server: bool


@contextlib.contextmanager
def services(
    root: Path, environment: dict[str, str], api_url: str | None, port: int | None
) -> Iterator[Services]:
    """Server (unless `api_url` is given), worker and registered deployment; all ended on leaving, even if we
    are killed.

    Raises:
        Failure: (exit code 5) if one of them does not come up; its log is named.
    """
    own_server = api_url is None
    state = root / ".run"
    state.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        if api_url is None:
            number = free_port(port)
            api_url = f"http://127.0.0.1:{number}/api"
            env = prefect_environment(root, environment, api_url)
            command = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(number)]
            server = _start(stack, command, root, env, state / "server.log")
            _wait_for(api_url + "/health", server, state / "server.log")
        running = Services(api_url, prefect_environment(root, environment, api_url), own_server)
        _create_pool(running)
        command = [
            "-m",
            "prefect",
            "worker",
            "start",
            "--pool",
            POOL,
            "--type",
            "process",
            "--name",
            "rpt-worker",
            "--limit",
            "1",
        ]
        _start(stack, command, root, running.environment, state / "worker.log")
        _deploy(root, running)
        yield running


def _start(
    stack: contextlib.ExitStack, arguments: list[str], root: Path, environment: dict[str, str], log: Path
) -> subprocess.Popen:
    output = stack.enter_context(open(log, "w", encoding="utf-8"))  # noqa: SIM115 - closed by the stack
    process = supervised(
        [sys.executable, *arguments], cwd=root, env=environment, stdout=output, stderr=subprocess.STDOUT
    )
    stack.callback(release, process)
    return process


def _wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise Failure(
        "the Prefect server did not come up",
        f"see {log}",
        "end other servers or free memory, then try again",
        Exit.ENVIRONMENT,
    )


def _create_pool(services: Services) -> None:
    """In this process, which imports Prefect anyway: the command `prefect work-pool create` costs 4 seconds
    of a core.
    """
    with contextlib.ExitStack() as stack:
        try:
            client = stack.enter_context(prefect_client(services))
            from prefect.client.schemas.actions import WorkPoolCreate
            from prefect.workers.process import ProcessWorker

            template = ProcessWorker.get_default_base_job_template()
            client.create_work_pool(
                WorkPoolCreate(name=POOL, type="process", base_job_template=template), overwrite=True
            )
        except Exception as error:  # of the API, of HTTP, or that nothing answers
            raise _not_registered("the work pool", f"{type(error).__name__}: {error}"[:500]) from error


def _deploy(root: Path, services: Services) -> None:
    """Register the deployment of prefect.yaml."""
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    child = subprocess.run(
        command, cwd=root, env=services.environment, text=True, capture_output=True, check=False
    )
    if child.returncode:
        raise _not_registered("the deployment", (child.stderr or child.stdout).strip()[-500:])


def _not_registered(what: str, why: str) -> Failure:
    return Failure(f"Prefect did not take {what}", why, "see .run/server.log", Exit.ENVIRONMENT)


@contextlib.contextmanager
def prefect_client(services: Services) -> Iterator:
    """A synchronous Prefect client for these services; Prefect reads its settings from the environment when
    it is imported.
    """
    os.environ.update(
        {key: value for key, value in services.environment.items() if key.startswith("PREFECT_")}
    )
    from prefect import get_client

    with get_client(sync_client=True) as client:
        yield client


def mark_orphans_crashed(services: Services) -> None:
    """Runs that an earlier, killed server of ours calls running are not: say so, so that lists of runs tell
    the truth.
    """
    if not services.own_server:
        return
    with prefect_client(services) as client:
        from prefect.client.schemas.filters import FlowRunFilter
        from prefect.states import Crashed

        unfinished = FlowRunFilter.model_validate(
            {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING", "SCHEDULED"]}}}
        )
        for run in client.read_flow_runs(flow_run_filter=unfinished):
            client.set_flow_run_state(run.id, Crashed(message="its server was stopped"), force=True)
