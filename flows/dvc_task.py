"""What the DAG is, what is stale and why, and one stage at a time brought up to date: DVC as the rest of
`flows/` sees it. DVC works in children, flows/dvc_child.py.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_contracts.failure import Exit, Failure
from flows.parameter_changes import Change
from flows.workspace import EVENTS, ROOT, child_environment, lock_descriptors
from infra.supervisor import release, supervised


@dataclass(frozen=True)
class StageState:
    """One stage of dvc.yaml: the stages it needs, and what changed since it last ran (nothing: it is up to
    date).

    `values` are the parameters among the changes, before and after; `outs` what it writes, from the root, and
    `bytes` how much that was.
    """

    name: str
    needs: tuple[str, ...]
    changes: tuple[str, ...]
    values: Mapping[str, Change] = field(default_factory=dict)
    outs: tuple[str, ...] = ()
    bytes: int = 0


@dataclass(frozen=True)
class Outcome:
    """How a stage ended: ran, restored (from DVC's run cache), unchanged or failed; `retry` if trying again
    may help.
    """

    result: str
    failure: Failure | None = None
    retry: bool = False


@contextlib.contextmanager
def waiting_dvc() -> Iterator[subprocess.Popen]:
    """A child that imports DVC, which takes as long as what its caller has to do first, and then waits for
    `read_state`.
    """
    command, piped = [sys.executable, "-m", "flows.dvc_child"], subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, env=child_environment(), text=True, stdin=piped, stdout=piped, stderr=piped
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def read_state(child: subprocess.Popen) -> list[StageState]:
    """All stages in the order of the DAG, ties in the order of dvc.yaml, as a `waiting_dvc` finds them now.

    Raises:
        Failure: if DVC cannot read the project.
    """
    said, errors = child.communicate()
    if child.returncode:
        reason = errors.strip().splitlines()[-1:] or [f"exit code {child.returncode}"]
        raise Failure(
            "DVC could not read the pipeline",
            reason[0],
            "see `dvc status` for the whole message",
            Exit.ENVIRONMENT,
        )
    found = json.loads(said)
    if found["mended"]:
        sys.stderr.write(found["mended"] + "\n")
    return [
        StageState(
            row["name"],
            tuple(row["needs"]),
            tuple(row["changes"]),
            row["values"],
            tuple(row["outs"]),
            row["bytes"],
        )
        for row in found["stages"]
    ]


def get_version(commit: str, places: Sequence[str], target: Path) -> None:
    """Put what DVC tracked in the directories `places` at `commit` into `target`, from the cache or a remote;
    nothing else changes.

    Raises:
        Failure: (exit code 2) if the commit tracks none of this name; (5) if its data is neither in the cache
            nor in a remote.
    """
    command = [sys.executable, "-m", "flows.dvc_child", "get", commit, str(target), *places]
    child = subprocess.run(
        command, cwd=ROOT, env=child_environment(), text=True, capture_output=True, check=False
    )
    if child.returncode:
        reason = child.stderr.strip().splitlines()[-1:] or [f"exit code {child.returncode}"]
        remedy = (
            "`dvc push` it to a remote of this checkout where it was made, or check that commit out and"
            " `./rpt run scoring`"
        )
        raise Failure(
            f"the data of commit {commit[:12]} could not be had", reason[0], remedy, Exit.ENVIRONMENT
        )
    if missing := json.loads(child.stdout)["missing"]:
        remedy = f"`git show {commit[:12]}:dvc.lock` lists what it tracks"
        raise Failure(f"commit {commit[:12]}", f"it tracks no {', no '.join(missing)}", remedy, Exit.USAGE)


class Dvc:
    """One DVC for a whole run, in a child that ends with us; it is started by the first stage, since its
    import takes most of a second.

    For every stage the child does what `dvc repro --single-item STAGE` does. It lives in a process group of
    its own.
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen | None = None

    def __enter__(self) -> Dvc:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child:
            release(self._child)

    def reproduce(
        self,
        stage: str,
        environment: dict[str, str],
        on_message: Callable[[dict], None],
        on_line: Callable[[str], None],
    ) -> Outcome:
        """Bring one stage up to date; what it says arrives as messages and lines as they come. `environment`
        is added to DVC's.
        """
        child = self._started()
        assert child.stdin
        with contextlib.suppress(BrokenPipeError):  # it has just died, so there are no lines either
            child.stdin.write(json.dumps({"stage": stage, "environment": environment}) + "\n")
        said: dict[str, Any] | None = None
        for line in self._lines():
            if not line.startswith('{"event"'):
                on_line(line)
                continue
            message = json.loads(line)
            if message["event"] == "reproduced":
                return _outcome(said, message["changed"], message["error"])
            if message["event"] == "outcome":
                said = message
            else:
                on_message(message)
        return _outcome(said, True, "its process is gone")

    def put_back(self, stage: str, on_line: Callable[[str], None]) -> None:
        """Restore what a stage that failed had made before, if DVC has all of it and is still there."""
        if self._child is None or self._child.poll() is not None:
            return
        assert self._child.stdin
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.write(json.dumps({"put_back": stage}) + "\n")
        for line in self._lines():
            if not line.startswith('{"event": "put_back"'):
                on_line(line)
                continue
            if error := json.loads(line)["error"]:
                on_line(error)
            return

    def _started(self) -> subprocess.Popen:
        if self._child is None or self._child.poll() is not None:
            command = [sys.executable, "-m", "flows.dvc_child", "serve"]
            self._child = supervised(
                command,
                cwd=ROOT,
                env=child_environment(),
                pass_fds=lock_descriptors(),
                text=True,
                bufsize=1,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        return self._child

    def _lines(self) -> Iterator[str]:
        assert self._child
        assert self._child.stdout
        return filter(None, map(str.rstrip, self._child.stdout))


def _outcome(said: dict[str, Any] | None, changed: bool, error: str | None) -> Outcome:
    """From what the stage said at its end, if it ran, and what DVC did: whether it put outputs in place, and
    what went wrong.
    """
    if said and said["code"]:
        return Outcome(
            "failed", Failure(said["what"], said["cause"], said["remedy"], Exit(said["code"])), said["retry"]
        )
    if error:
        return Outcome(
            "failed",
            Failure(
                "DVC gave up", error, f"see {EVENTS.relative_to(ROOT)} for its whole log", Exit.STAGE_FAILED
            ),
        )
    return Outcome("ran" if said else "restored" if changed else "unchanged")
