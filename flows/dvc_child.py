"""The only module that imports DVC, in a process of its own: DVC touches signals and holds locks.

`python -m flows.dvc_child` prints the state of all stages as JSON once its input ends, `... get COMMIT TARGET
PLACE...` fetches what a commit tracked, and `... serve` brings stages up to date, one after the other.
flows/dvc_task.py starts it.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import dvc_records
from flows.parameter_changes import Change, changed_values, sentence
from flows.workspace import ROOT

if TYPE_CHECKING:
    from dvc.stage import Stage

LOCK_SECONDS = 120.0  # to wait for another DVC
NEVER_PUT_BACK = ("label_gates",)  # its file says that labels pass: that of others is not for those that fail


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


def _parse_once() -> None:
    """Have DVC parse params.yaml again when its text changes, and not for each stage that names parameters,
    which is a third of what it does to say what is stale.
    """
    from dvc.utils.serialize import LOADERS, parse_yaml

    parsed = lru_cache(maxsize=8)(parse_yaml)

    def load(path: str, fs: Any = None, **options: Any) -> Any:
        with (fs.open if fs else open)(path, encoding="utf-8", **options) as file:
            return copy.deepcopy(parsed(file.read(), path))

    LOADERS[".yaml"] = load


def _print_state() -> None:
    """The stages as JSON. Half a record, which a kill left, is put aside and said: without that DVC would
    fail for ever.
    """
    gc.disable()  # to look for garbage takes a tenth of the second that this process lives
    for name in ("dvc.dependency", "dvc.repo.index", "dvc.repo.status", "networkx"):
        importlib.import_module(name)  # what takes long, before it is told to look
    from dvc.exceptions import DvcException

    _parse_once()
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
    """Reproduce the stages that standard input names, or put back what they had made before, and say what DVC
    did. The stages themselves have no input.
    """
    import dvc.logger

    dvc.logger.setup()
    _parse_once()
    with (
        os.fdopen(os.dup(0)) as requests,
        open(os.devnull) as nothing,
        contextlib.suppress(KeyboardInterrupt),
    ):
        os.dup2(nothing.fileno(), 0)
        for request in map(json.loads, requests):
            if "put_back" in request:
                answer: dict[str, Any] = {
                    "event": "put_back",
                    "error": _put_back_or_why_not(request["put_back"]),
                }
            else:
                os.environ.update(request["environment"])
                changed, error = _reproduce(request["stage"])
                answer = {"event": "reproduced", "changed": changed, "error": error}
            sys.stdout.write(json.dumps(answer) + "\n")
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


def _put_back_or_why_not(stage: str) -> str | None:
    try:
        _put_back(stage)
    except (
        Exception
    ) as error:  # of the disk, of DVC's database: what the stage itself said must reach the user
        return f"what {stage} had made before is not put back: {error!r}"
    return None


def _put_back(stage: str) -> None:
    """Restore from the cache what DVC removed before it ran a stage that then failed: the outputs that
    dvc.lock knows. All of them or none: some beside others, new or damaged, are of no run.
    """
    from dvc.repo import Repo

    if stage.partition("@")[0] in NEVER_PUT_BACK:
        return
    with Repo(str(ROOT)) as repo:
        (failed,) = repo.stage.collect(stage)
        cached = [out for out in failed.outs if out.use_cache]
        whole = not any(out.exists for out in failed.outs) and not any(out.changed_cache() for out in cached)
        if cached and whole:
            _patiently(lambda: repo.checkout([str(out) for out in cached]))


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        _serve()
    elif sys.argv[1:2] == ["get"]:
        _get(sys.argv[2], sys.argv[3], sys.argv[4:])
    else:
        _print_state()
