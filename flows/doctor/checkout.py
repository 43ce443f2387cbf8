"""What the checkout must have: an environment as locked, a file system that keeps its promises, parameters
that make sense, git and DVC.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from data_contracts.failure import Failure
from flows.doctor.finding import Finding, judged
from flows.workspace import ROOT, STATE

NAMED = 3  # packages that a finding names


def packages(lock: Path = ROOT / "requirements.txt") -> Finding:
    """Every package of the lock in its version."""
    wanted = dict(
        re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(?=\s*\\?$)", lock.read_text(), flags=re.MULTILINE)
    )
    wrong = [
        f"{name} {version} is {_installed(name) or 'missing'}"
        for name, version in wanted.items()
        if _installed(name) != version
    ]
    found = "; ".join(wrong[:NAMED]) + (f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else "")
    return judged(
        "packages",
        found or f"{len(wanted)} as {lock.name} has them",
        "rm -rf .venv && ./rpt doctor",
        bad=bool(wrong),
    )


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def writable(root: Path = ROOT) -> Finding:
    """A checkout in which a run can write."""
    try:
        with tempfile.NamedTemporaryFile(dir=root, prefix=".rpt-doctor-"):
            pass
    except OSError as error:
        return Finding(
            "checkout",
            "bad",
            f"{root} cannot be written: {error.strerror}",
            f"sudo chown -R $(id -u) '{root}', or clone it elsewhere",
        )
    return Finding("checkout", "good", f"{root} is writable")


def locks(place: Path = STATE) -> Finding:
    """A file system on which a lock is held by one process at a time; some network file systems let all have
    it.
    """
    place.mkdir(mode=0o700, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=place) as first, open(first.name) as second:
        fcntl.flock(first, fcntl.LOCK_EX)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return Finding("locks", "good", "one process at a time holds a lock here")
    return Finding(
        "locks",
        "bad",
        f"two hold one lock on the file system of {place}",
        "clone the checkout to a local disk",
    )


def one_file_system(root: Path = ROOT) -> Finding:
    """Artifacts on the disk of the checkout, so that finished work is renamed into its place and
    not copied.
    """
    artifacts = root / "artifacts"
    if not artifacts.exists() or artifacts.stat().st_dev == root.stat().st_dev:
        return Finding("artifacts", "good", "on the disk of the checkout")
    return Finding(
        "artifacts",
        "unsure",
        "on another disk: every artifact is copied there",
        "clone the checkout to the disk of artifacts/",
    )


def parameters(path: Path = ROOT / "params.yaml") -> Finding:
    """A configuration that can be read."""
    from stages.parameters import load

    try:
        configuration = load(path)
    except Failure as failure:
        return Finding("params.yaml", "bad", f"{failure.what}: {failure.cause}", failure.remedy)
    return Finding(
        "params.yaml", "good", f"{len(configuration.corpora)} corpora, {len(configuration.runs)} runs"
    )


def sources(path: Path = ROOT / "params.yaml") -> Finding:
    """Text for every corpus that is on this machine; a store is not asked."""
    from stages.ingestion.sources import source_files
    from stages.parameters import load

    missing, files = [], 0
    local = {name: corpus for name, corpus in load(path).corpora.items() if "://" not in corpus.source}
    for name, corpus in local.items():
        try:
            with contextlib.chdir(path.parent):
                files += len(source_files(corpus))
        except Failure as failure:
            missing.append(f"{name}: {failure.cause}")
    found = "; ".join(missing) or f"{files:,} files of {len(local)} corpora on this machine"
    return judged("sources", found, "./rpt config -o corpora.NAME.source=PATH", bad=bool(missing))


def git() -> Finding:
    """Git, which versions parameters, and a checkout that it knows."""
    if not shutil.which("git"):
        return Finding(
            "git", "unsure", "not installed: nothing can be kept as a version", "sudo apt-get install git"
        )
    known = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    fix = "git init && git add -A && git commit -m start, or clone with git"
    return judged(
        "git",
        known.stdout.strip() or "this is no git checkout: versions of labels cannot be named",
        fix,
        unsure=known.returncode != 0,
    )


def data_version_control() -> Finding:
    """DVC's settings of this checkout."""
    there = (ROOT / ".dvc" / "config").exists()
    return judged(
        "dvc",
        ".dvc/config is there" if there else "no .dvc here",
        "git checkout -- .dvc, or clone again",
        bad=not there,
    )


def unfinished() -> Finding:
    """Work that no run will go on with by itself."""
    from flows.commands.gc import unused
    from stages.parameters import load

    rows = unused(load(ROOT / "params.yaml"))
    size = sum(row["bytes"] for row in rows) / 2**20
    return judged(
        "left-overs", f"{len(rows)} pieces of set-aside work, {size:,.0f} MiB", "./rpt gc", unsure=size > 1024
    )


def browser() -> Finding:
    """Chromium, in which `./rpt test --all` opens pages; nothing else needs it."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    fix = "sudo apt-get install chromium, if you run ./rpt test --all"
    return judged("chromium", found or "not installed", fix, unsure=found is None)


def umask() -> Finding:
    """New files that their owner may read and write."""
    mask = os.umask(0o077)
    os.umask(mask)
    return judged("umask", f"{mask:03o}", "umask 022", bad=bool(mask & 0o600))


CHECKS = {
    "packages": packages,
    "checkout": writable,
    "locks": locks,
    "artifacts": one_file_system,
    "params.yaml": parameters,
    "sources": sources,
    "git": git,
    "dvc": data_version_control,
    "left-overs": unfinished,
    "chromium": browser,
    "umask": umask,
}
