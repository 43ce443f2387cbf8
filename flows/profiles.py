"""Profiles: whole params.yaml files kept in `profiles/`, each a published or recommended configuration."""

from __future__ import annotations

import difflib
import os
import subprocess
from pathlib import Path

from ruamel.yaml import YAML

from data_contracts.failure import Exit, Failure
from flows.workspace import ROOT
from stages.parameters import check

PROFILES = ROOT / "profiles"
SHOWN_LINES = 8


def names() -> list[str]:
    """The profiles there are."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def profile_path(name: str) -> Path:
    """The file of a profile.

    Raises:
        Failure: (exit code 2) if there is no such profile.
    """
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        remedy = f"did you mean {near[0]}?" if near else "choose one of them"
        raise Failure(f"profile {name!r}", f"profiles/ has {', '.join(names())}", remedy, Exit.USAGE)
    return PROFILES / f"{name}.yaml"


def use_profile(path: Path, name: str, force: bool = False) -> str:
    """Make `path` a copy of a profile and return the difference; edits that are kept nowhere else are not
    overwritten without `force`.

    Raises:
        Failure: (exit code 2) if there is no such profile, or `path` holds edits that neither a profile nor
            the last commit has.
    """
    before, after = path.read_text(encoding="utf-8"), profile_path(name).read_text(encoding="utf-8")
    check(YAML(typ="safe").load(after))
    if before != after and not force and (edits := _edits(path, before)):
        cause = f"params.yaml has edits that are neither committed nor in a profile: {edits[:SHOWN_LINES]}"
        raise Failure(
            f"profile {name!r} would overwrite params.yaml",
            cause,
            "commit params.yaml, or add --force",
            Exit.USAGE,
        )
    temporary = path.with_suffix(".yaml.tmp")
    temporary.write_text(after, encoding="utf-8")
    os.replace(temporary, path)
    lines = difflib.unified_diff(
        before.splitlines(True), after.splitlines(True), path.name, f"profiles/{name}.yaml", n=0
    )
    return "".join(lines)


def _edits(path: Path, text: str) -> list[str]:
    """The lines of `text` that no profile and not the last commit has; empty if its values are those of one
    of them.
    """
    committed = subprocess.run(
        ["git", "show", f"HEAD:./{path.name}"], cwd=path.parent, capture_output=True, text=True, check=False
    ).stdout
    kept = [committed, *(profile.read_text(encoding="utf-8") for profile in PROFILES.glob("*.yaml"))]
    if any(YAML(typ="safe").load(text) == YAML(typ="safe").load(other) for other in kept):
        return []
    added = [[line for line in text.splitlines() if line not in other.splitlines()] for other in kept]
    return [line.strip() for line in min(added, key=len)]
