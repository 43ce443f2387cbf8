"""A copy of the checkout in which nothing has been run; it shares nothing with it but the installed
packages.
"""

from __future__ import annotations

import shutil
from fnmatch import fnmatch
from pathlib import Path

from flows.workspace import ROOT

# The label store too: with it a copy would not pay for its scores.
KEPT_OUT = (
    "artifacts",
    "corpora",
    "dvc.lock",
    "ledger",
    "metrics/*.json",
    "models",
    "sources",
    ".run",
    ".venv*",
    ".work",
    ".dvc/cache",
    ".dvc/tmp",
)


def copy_checkout(copy: Path) -> Path:
    """Everything but what runs have left, in the new folder `copy`, with params.yaml as it is now."""
    shutil.copytree(ROOT, copy, ignore=_kept_out)
    return copy


def _kept_out(directory: str, names: list[str]) -> list[str]:
    """What is not copied: KEPT_OUT by its place, for a package may be called like an artifact, and compiled
    modules.
    """
    place = Path(directory).relative_to(ROOT)
    return [
        name for name in names if name == "__pycache__" or any(_is(place / name, kept) for kept in KEPT_OUT)
    ]


def _is(path: Path, pattern: str) -> bool:
    """Whether a pattern names this very place, and not one below it."""
    return path.as_posix().count("/") == pattern.count("/") and fnmatch(path.as_posix(), pattern)
