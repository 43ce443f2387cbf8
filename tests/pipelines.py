"""Private copies of the project to run whole pipelines in, and one finished pipeline that the others start
from.

`shared()` makes two directories once, under `.run/test-pipeline/<digest of all code and settings>/`, and
keeps them for the next test run: `project` is a copy of the checkout with six short documents and parameters
of a few seconds, `finished` is the same after `rpt run`. Both are read only: a test works in its `private`
copy.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from uuid import uuid4

from ruamel.yaml import YAML

from benchmarks._tiny_project import make_tiny

yaml = YAML(typ="safe")
ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".run" / "test-pipeline"
KEPT = 2  # of different code: a tree and its last state, say
CODE = ("flows", "infra", "stages", "reports", "model", "data_contracts", "benchmarks")
FILES = (
    "rpt",
    "dvc.yaml",
    "params.yaml",
    "prefect.yaml",
    "requirements.txt",
    "requirements-dev.txt",
    ".dvcignore",
    ".gitignore",
)

RAY = """
import sys
import psutil
from pathlib import Path
from stages.parameters import Runtime
from stages.runner.ray_map import start_ray
owner, place = psutil.Process(int(sys.argv[1])), Path(sys.argv[2])
place.write_text(start_ray(Runtime(workers=1)))
print(flush=True)
owner.wait()
place.unlink()
"""


def environment(root: Path) -> dict[str, str]:
    """For a process that runs the code in `root`; what it compiles is kept where all tests look for it."""
    cache = os.environ.get("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".run" / "jax-cache"))
    return {**os.environ, "PYTHONPATH": str(root), "JAX_COMPILATION_CACHE_DIR": cache}


def run_rpt(root: Path, *arguments: str, own_ray: bool = False) -> subprocess.CompletedProcess:
    """The command line of the copy in `root`, with this interpreter; `rpt run` joins `joined_ray` unless it
    is to start `own_ray`.
    """
    joined = {} if own_ray or arguments[0] != "run" else joined_ray()
    command = [sys.executable, "-m", "flows.cli", *arguments]
    return subprocess.run(
        command,
        cwd=root,
        env=environment(root) | joined,
        text=True,
        capture_output=True,
        timeout=840,
        check=False,
    )


@cache
def joined_ray() -> dict[str, str]:
    """Where a Ray of one CPU is that all processes of a test run share and that ends with them: starting one
    takes 8 seconds of a core. So work may wait for that of other tests.
    """
    several = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    place = HOME / f"ray-{several or uuid4().hex}"
    with _lock("ray-lock"):
        if not place.exists():
            _start_ray(os.getppid() if several else os.getpid(), place)
        return {"RAY_ADDRESS": place.read_text(), "RAY_AUTH_MODE": "token"}


def _start_ray(owner: int, place: Path) -> None:
    """Start a Ray that ends after the process `owner`, and write its address to `place`."""
    child = subprocess.Popen(
        [sys.executable, "-c", RAY, str(owner), str(place)],
        env=environment(ROOT),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert child.stdout
    child.stdout.readline()  # it has written the address


def private(shared_copy: Path, place: Path, without: tuple[str, ...] = ()) -> Path:
    """A copy in `place` of one of the two shared directories, for one test or module to change; `without`
    names files to leave out.
    """
    return Path(shutil.copytree(shared_copy, place, symlinks=True, ignore=shutil.ignore_patterns(*without)))


def forget(root: Path, forgotten: Callable[[str], bool]) -> None:
    """Have DVC know nothing of the stages that `forgotten` says, so that they run again and are not
    restored.
    """
    lock = root / "dvc.lock"
    known = yaml.load(lock.read_text())
    known["stages"] = {name: entry for name, entry in known["stages"].items() if not forgotten(name)}
    with open(lock, "w") as file:
        yaml.dump(known, file)
    shutil.rmtree(root / ".dvc" / "cache" / "runs", ignore_errors=True)


def shared(name: str) -> Path:
    """The directory `project` or `finished`, made now unless an earlier test run of this very code has left
    it.
    """
    with _lock("lock"):
        home = HOME / _digest()
        if not (home / name).exists():
            making = home / f"{name}.making"
            shutil.rmtree(making, ignore_errors=True)
            {"project": _make_project, "finished": _make_finished}[name](home, making)
            making.rename(home / name)
        os.utime(home)
        for old in sorted(HOME.glob("*/"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
            shutil.rmtree(old)
        return home / name


def state(root: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file, by which a change of a shared copy shows."""
    files = {path: path.stat() for path in root.rglob("*") if path.is_file()}
    return {str(path.relative_to(root)): (stat.st_size, stat.st_mtime_ns) for path, stat in files.items()}


@contextmanager
def _lock(name: str) -> Iterator[None]:
    HOME.mkdir(parents=True, exist_ok=True)
    with open(HOME / name, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _digest() -> str:
    digest = hashlib.sha256(sys.version.encode() + Path(__file__).read_bytes())
    for path in [
        *(ROOT / name for name in FILES),
        *(path for name in CODE for path in sorted((ROOT / name).rglob("*"))),
    ]:
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _make_project(home: Path, root: Path) -> None:
    for name in CODE:
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy2(ROOT / name, root / name)
    (root / ".dvc").mkdir()
    shutil.copy2(ROOT / ".dvc" / "config", root / ".dvc" / "config")
    make_tiny(root)


def _make_finished(home: Path, root: Path) -> None:
    if not (home / "project").exists():
        _make_project(home, home / "project.making")
        (home / "project.making").rename(home / "project")
    done = run_rpt(private(home / "project", root), "run", own_ray=True)
    assert done.returncode == 0, done.stdout + done.stderr
