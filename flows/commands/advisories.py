"""Known vulnerabilities of what is locked: those written down in `infra/supply_chain.toml`, and a live
database where one can be reached.

pip-audit asks OSV (api.osv.dev), for it fails loudly: its other source, an index, answers "not found" for
every package where the index is a mirror without advisories, and pip-audit then ends well. A package that it
skips counts as an answer that is missing.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet

from data_contracts.failure import Exit, Failure
from flows.commands.locks import Pin
from flows.commands.own_environment import own_python
from flows.workspace import ROOT, child_environment

LOCK = ROOT / "requirements-audit.txt"
DATABASE = "https://api.osv.dev/v1/query"
PATIENCE = 10  # seconds until a database that does not answer counts as not reachable
FOUND = 1  # exit code of pip-audit if something is affected


def known(pinned: Iterable[Pin], policy: Mapping[str, Any]) -> list[dict]:
    """The advisories written down that affect a pin: id, package, version, lock and why it is allowed, or
    None if it is not.
    """
    return [
        {
            "id": one["id"],
            "package": pin.name,
            "version": pin.version,
            "lock": pin.lock,
            "allowed": one.get("allowed"),
        }
        for pin in pinned
        for one in policy["known"]
        if one["package"] == pin.name
        and SpecifierSet(one["affected"], prereleases=True).contains(pin.version)
    ]


def reachable(address: str = DATABASE) -> str | None:
    """Why the database cannot be asked, or None if it answers, be it that it finds the question
    wrong (400).
    """
    request = urllib.request.Request(address, data=b"{}", method="POST")
    try:
        urllib.request.urlopen(request, timeout=PATIENCE).close()
    except urllib.error.HTTPError as error:
        return None if error.code == 400 else f"it answers {error.code}"  # a proxy's 403, say
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        return str(getattr(error, "reason", error))
    return None


def ask(lock: Path, policy: Mapping[str, Any]) -> list[dict]:
    """What the live database says of a lock, in the form of `known`.

    Raises:
        Failure: (exit code 5) if pip-audit does not end with an answer for every package.
    """
    python = str(own_python("audit", LOCK, "about 60 MB"))
    command = [
        python,
        "-m",
        "pip_audit",
        "-r",
        str(lock),
        "--disable-pip",
        "--no-deps",
        "-s",
        "osv",
        "-f",
        "json",
        "--progress-spinner",
        "off",
    ]
    done = subprocess.run(
        command, cwd=ROOT, env=child_environment(), text=True, capture_output=True, check=False
    )
    if done.returncode not in (0, FOUND) or not done.stdout.strip().startswith("{"):
        cause = next(reversed(done.stderr.strip().splitlines()), f"exit code {done.returncode}")
        raise Failure(
            f"pip-audit of {lock.name}", cause[:300], "try again when the database answers", Exit.ENVIRONMENT
        )
    return answers(done.stdout, lock.name, policy)


def answers(text: str, lock: str, policy: Mapping[str, Any]) -> list[dict]:
    """What pip-audit wrote as JSON, in the form of `known`; raises like `ask` for a package that it
    skipped.
    """
    packages = json.loads(text)["dependencies"]
    if skipped := [one["name"] for one in packages if "skip_reason" in one]:
        cause = f"no answer for {', '.join(skipped[:5])}{' and others' if len(skipped) > 5 else ''}"
        raise Failure(
            f"pip-audit of {lock}", cause, "look these up by hand, or ask another database", Exit.ENVIRONMENT
        )
    allowed = {one["id"]: one.get("allowed") for one in policy["known"]}
    return [
        {
            "id": found["id"],
            "package": one["name"],
            "version": one["version"],
            "lock": lock,
            "allowed": next(
                (allowed[name] for name in (found["id"], *found["aliases"]) if name in allowed), None
            ),
        }
        for one in packages
        for found in one["vulns"]
    ]
