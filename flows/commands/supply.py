"""The commands `rpt sbom` and `rpt audit`: what this project is made of, under which licences, and what is
known against it.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from data_contracts.failure import Exit, Failure
from flows.terminal.output import Json, out
from flows.workspace import ROOT

if TYPE_CHECKING:
    from flows.commands.licences import Licences
    from flows.commands.locks import Pin

SETTINGS = ROOT / "infra" / "supply_chain.toml"


def sbom() -> int:
    """Print a bill of materials: every package of every lock with its version and hashes, as CycloneDX 1.6
    JSON.

    It follows from the locks alone, so equal locks give equal bytes. Example: `./rpt sbom`
    """
    from flows.commands.sbom import bill_of_materials

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    out(json.dumps(bill_of_materials(project["name"], project["version"]), indent=1))
    return Exit.DONE


def audit(
    *,
    live: Annotated[
        bool,
        Parameter(negative=(), help="fail (exit code 5) if no database of vulnerabilities can be reached"),
    ] = False,
    offline: Annotated[
        bool, Parameter(negative=(), help="ask no database: the answer depends on what is written down alone")
    ] = False,
    json_: Json = False,
) -> int:
    """Check what is locked: licences of what is installed here, and known vulnerabilities; exit code 1 if
    something is not allowed.

    Vulnerabilities are those of infra/supply_chain.toml, read at the date that stands there, and those that
    OSV knows today if it can be reached. What was not looked at is said.

    Examples: `./rpt audit`; `./rpt audit --live --json`; `./rpt audit --offline`
    """
    from flows.commands.advisories import reachable
    from flows.commands.locks import locks, pins

    settings = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))
    here = {lock: [pin for pin in pins(lock) if pin.holds_here] for lock in locks()}
    unreachable = "asked not to" if offline else reachable()
    if live and unreachable:
        remedy = (
            "run it where the network has a way there, or without --live against the advisories written down"
        )
        raise Failure(
            "no database of vulnerabilities", f"api.osv.dev: {unreachable}", remedy, Exit.ENVIRONMENT
        )
    licences = _licences(here, settings["licences"])
    found = _vulnerabilities(here, settings["advisories"], ask=not unreachable)
    refused = [
        *licences.refused,
        *(
            f"{one['id']} in {one['package']} {one['version']} ({one['lock']})"
            for one in found
            if not one["allowed"]
        ),
    ]
    answer = {
        "licences": licences.read,
        "unread": list(licences.unread),
        "vulnerabilities": found,
        "refused": refused,
    }
    answer |= {"database": unreachable or "asked", "written_down": settings["advisories"]["read"]}
    answer["written_down_from"] = settings["advisories"]["database"]
    out(json.dumps(answer)) if json_ else _show(answer)
    return Exit.STAGE_FAILED if refused else Exit.DONE


def _licences(here: dict[Path, list[Pin]], policy: dict[str, Any]) -> Licences:
    """Of the environment where this runs. Those of extras beside it, such as vLLM's, are said to be
    unread.
    """
    import sysconfig

    from flows.commands.licences import installed, look_at

    there = installed([Path(sysconfig.get_paths()["purelib"])])
    return look_at([pin for pinned in here.values() for pin in pinned], there, policy)


def _vulnerabilities(here: dict[Path, list[Pin]], policy: dict[str, Any], ask: bool) -> list[dict]:
    from flows.commands import advisories

    rows = advisories.known([pin for pinned in here.values() for pin in pinned], policy)
    asked = [row for lock in here if ask for row in advisories.ask(lock, policy)]
    names = {(row["id"], row["package"], row["lock"]): row for row in [*asked, *rows]}
    return [names[key] for key in sorted(names)]


def _show(answer: dict[str, Any]) -> None:
    out(
        f"licences: {answer['licences']} packages read, {len(answer['unread'])} pins of locks that are not"
        " installed here were not"
    )
    database = "asked" if answer["database"] == "asked" else f"not reached ({answer['database']})"
    out(
        f"vulnerabilities: OSV was {database}; those written down were read on {answer['written_down']} from"
        f" a database of {answer['written_down_from']}"
    )
    for one in answer["vulnerabilities"]:
        out(
            f"  {one['id']} in {one['package']} {one['version']} ({one['lock']}):"
            f" {one['allowed'] or 'NOT ALLOWED'}"
        )
    for line in answer["refused"]:
        out(f"refused: {line}")
    out(
        "nothing is refused"
        if not answer["refused"]
        else "mend it, or write down in infra/supply_chain.toml why it is allowed"
    )
