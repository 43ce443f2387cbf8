"""The only caller of DVC: what the DAG is, what is stale and why, and one stage at a time brought up to date.

`python -m flows.dvc_task` prints the state as JSON once its input ends, `... get COMMIT TARGET PLACE...`
fetches what a commit tracked, and `... serve` brings stages up to date, one after the other. DVC is imported
in those children only; it touches signals and holds locks.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_contracts.failure import Exit, Failure
from flows import dvc_records
from flows.parameter_changes import Change, changed_values, sentence
from flows.workspace import EVENTS, ROOT, child_environment
from infra.supervisor import release, supervised

if TYPE_CHECKING:
    from dvc.stage import Stage


LOCK_SECONDS = 120.0  # to wait for another DVC


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
    command, piped = [sys.executable, "-m", "flows.dvc_task"], subprocess.PIPE
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
    command = [sys.executable, "-m", "flows.dvc_task", "get", commit, str(target), *places]
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

    def _started(self) -> subprocess.Popen:
        if self._child is None or self._child.poll() is not None:
            command = [sys.executable, "-m", "flows.dvc_task", "serve"]
            self._child = supervised(
                command,
                cwd=ROOT,
                env=child_environment(),
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


def distrust(path: Path) -> None:
    """Have DVC hash a file, or every file of a directory, again before it believes what it has on record.

    It takes a file whose time has not changed for unchanged, and a read-only file in its cache for good. What
    it restored is a hard link to that cache, so damage in place damages both; a new time and mode on the link
    is a new time and mode on the cached file. Files of other users stay as they are.
    """
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            with contextlib.suppress(PermissionError):
                file.chmod(0o644)
                os.utime(file)


def _values(stage: Stage) -> dict[str, dict[str, Change]]:
    """The parameters of a stage that changed, by the section of params.yaml that dvc.yaml names."""
    from dvc.dependency import ParamsDependency

    found: dict[str, dict[str, Change]] = {}
    for dependency in stage.deps:
        if isinstance(dependency, ParamsDependency) and dependency.hash_info.value:
            before, now = dependency.hash_info.value, dependency.read_params()
            found |= {
                name: changed_values({name: before[name]}, {name: now[name]})
                for name in before.keys() & now.keys()
            }
    return found


def _changes(status: list, values: Mapping[str, Mapping[str, Change]]) -> list[str]:
    """DVC's status of one stage as sentences such as `scoring.candidates 8 -> 12` and
    `artifacts/demo/chunks modified`.
    """
    sentences = []
    for item in status:
        if isinstance(item, str):
            sentences.append(item)
            continue
        for kind, entries in item.items():
            for name, change in entries.items():
                if isinstance(change, dict):
                    for key, state in change.items():
                        said = [sentence(name, value) for name, value in values.get(key, {}).items()]
                        sentences += said or [f"{key} {state}"]
                else:
                    sentences.append(
                        f"{name} {'missing' if change == 'deleted' else change}"
                        + (" (output)" if kind == "changed outs" else "")
                    )
    return sentences


def _modified_outputs(status: dict[str, list]) -> Iterator[str]:
    for items in status.values():
        for item in items:
            if isinstance(item, dict):
                yield from (
                    path for path, change in item.get("changed outs", {}).items() if change == "modified"
                )


def _patiently(work: Callable[[], Any]) -> Any:
    """The work, again while another DVC has the lock of the repository. DVC itself gives up after seconds."""
    from dvc.lock import LockError

    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return work()
        except LockError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)  # a path that is in use is refused at once


def _damaged_record(error: Exception) -> Path | None:
    """Which of its own records DVC could not read."""
    from dvc.rwlock import RWLockFileCorruptedError, RWLockFileFormatError

    if isinstance(error, RWLockFileCorruptedError | RWLockFileFormatError):
        return dvc_records.USERS
    return dvc_records.LOCK if Path(getattr(error, "path", "")).name == dvc_records.LOCK.name else None


def _print_state() -> None:
    """The stages as JSON. Half a record, which a kill left, is put aside and said: without that DVC would
    fail for ever.
    """
    gc.disable()  # to look for garbage takes a tenth of the second that this process lives
    for name in ("dvc.dependency", "dvc.repo.index", "dvc.repo.status", "networkx"):
        importlib.import_module(name)  # what takes long, before it is told to look
    from dvc.exceptions import DvcException

    sys.stdin.read()
    mended: list[str] = []
    while True:
        try:
            rows = _patiently(_state)
            break
        except DvcException as error:
            record = _damaged_record(error)
            sentence = dvc_records.put_aside(ROOT, record) if record else None
            if not sentence or sentence in mended:
                raise
            mended.append(sentence)
    sys.stdout.write(json.dumps({"stages": rows, "mended": "\n".join(mended)}, default=str))


def _state() -> list[dict[str, Any]]:
    import networkx
    from dvc.repo import Repo, lock_repo

    # inside one lock DVC builds its index once and not three times
    with Repo(str(ROOT)) as repo, lock_repo(repo):
        graph, status = repo.index.graph, repo.status()
        for path in _modified_outputs(status):
            distrust(ROOT / path)
        place = {stage: number for number, stage in enumerate(repo.index.stages)}
        order = networkx.lexicographical_topological_sort(graph.reverse(), key=place.__getitem__)
        return [
            _row(
                stage,
                sorted(graph.successors(stage), key=place.__getitem__),
                status.get(stage.addressing, []),
            )
            for stage in order
        ]


def _row(stage: Stage, needs: list[Stage], status: list) -> dict[str, Any]:
    values = _values(stage) if status else {}
    return {
        "name": stage.addressing,
        "needs": [other.addressing for other in needs],
        "changes": _changes(status, values),
        "values": {name: change for of_section in values.values() for name, change in of_section.items()},
        "outs": [str(out) for out in stage.outs],
        "bytes": sum(out.meta.size or 0 for out in stage.outs),
    }


def _get(commit: str, target: str, places: list[str]) -> None:
    from dvc.repo import Repo

    with Repo(str(ROOT)) as here:
        remote = here.config["core"].get("remote")  # the one of today: that of the commit may be gone
    with Repo.open(str(ROOT), rev=commit) as repo:
        missing = [place for place in places if not repo.dvcfs.exists(place)]
    for place in [] if missing else places:
        Repo.get(str(ROOT), place, out=str(Path(target) / Path(place).name), rev=commit, remote=remote)
    sys.stdout.write(json.dumps({"missing": missing}))


def _serve() -> None:
    """Reproduce the stages that standard input names, and say what DVC did. The stages themselves have no
    input.
    """
    import dvc.logger

    dvc.logger.setup()
    with (
        os.fdopen(os.dup(0)) as requests,
        open(os.devnull) as nothing,
        contextlib.suppress(KeyboardInterrupt),
    ):
        os.dup2(nothing.fileno(), 0)
        for request in map(json.loads, requests):
            os.environ.update(request["environment"])
            changed, error = _reproduce(request["stage"])
            sys.stdout.write(json.dumps({"event": "reproduced", "changed": changed, "error": error}) + "\n")
            sys.stdout.flush()


def _reproduce(stage: str) -> tuple[bool, str | None]:
    """(whether DVC ran or restored it, what went wrong)."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(ROOT)) as repo:
            changed = bool(_patiently(lambda: repo.reproduce(stage, single_item=True)))
        dvc_records.keep(ROOT)
        return changed, None
    except DvcException as error:
        return True, str(error.__cause__ or error)


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        _serve()
    elif sys.argv[1:2] == ["get"]:
        _get(sys.argv[2], sys.argv[3], sys.argv[4:])
    else:
        _print_state()
