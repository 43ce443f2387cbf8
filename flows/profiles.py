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


def use_profile(path: Path, name: str, force: bool = False) -> str:
    """Make `path` a copy of a profile and return the difference; edits that are kept nowhere else are not overwritten without `force`.

    Raises:
        Failure: (exit code 2) if there is no such profile, or `path` holds edits that neither a profile nor the last commit has.
    """
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        remedy = f"did you mean {near[0]}?" if near else "choose one of them"
        raise Failure(f"profile {name!r}", f"profiles/ has {', '.join(names())}", remedy, Exit.USAGE)
    before, after = path.read_text(encoding="utf-8"), (PROFILES / f"{name}.yaml").read_text(encoding="utf-8")
    check(YAML(typ="safe").load(after))
    difference = list(difflib.unified_diff(before.splitlines(True), after.splitlines(True), path.name, f"profiles/{name}.yaml", n=0))
    if difference and not force and not _is_kept(path, before):
        shown = "".join(line for line in difference if line.startswith("-"))
        cause = f"params.yaml has edits that are neither committed nor a profile: {shown.splitlines()[1 : SHOWN_LINES + 1]}"
        raise Failure(f"profile {name!r} would overwrite params.yaml", cause, "commit params.yaml, or add --force", Exit.USAGE)
    temporary = path.with_suffix(".yaml.tmp")
    temporary.write_text(after, encoding="utf-8")
    os.replace(temporary, path)
    return "".join(difference)


def _is_kept(path: Path, text: str) -> bool:
    committed = subprocess.run(["git", "show", f"HEAD:./{path.name}"], cwd=path.parent, capture_output=True, text=True, check=False).stdout
    kept = [committed, *(profile.read_text(encoding="utf-8") for profile in PROFILES.glob("*.yaml"))]
    return any(YAML(typ="safe").load(text) == YAML(typ="safe").load(other) for other in kept)
