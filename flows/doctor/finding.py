"""A finding about the machine: what was looked at, what is there, and a line to paste where that
will not do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["good", "unsure", "bad"]
MARKS: dict[State, str] = {"good": "ok", "unsure": "look", "bad": "FAIL"}


@dataclass(frozen=True)
class Finding:
    """`state`: good, unsure (works, or may not at a larger size) or bad (something will fail); `fix` is empty
    where it is good.
    """

    name: str
    state: State
    found: str
    fix: str = ""


Check = Callable[[], Finding]


def judged(name: str, found: str, fix: str, *, bad: bool = False, unsure: bool = False) -> Finding:
    """The finding that is bad, unsure or good; the fix is dropped where it is good."""
    state: State = "bad" if bad else "unsure" if unsure else "good"
    return Finding(name, state, found, "" if state == "good" else fix)


def examine(name: str, check: Check) -> Finding:
    """What `check` finds; that it broke is a finding too, so that one surprise does not hide the others."""
    try:
        return check()
    except Exception as error:
        return Finding(
            name,
            "unsure",
            f"could not be looked at: {type(error).__name__}: {error}",
            "nothing, if everything works",
        )


def report(findings: list[Finding]) -> str:
    """A line a finding, its fix below it."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{MARKS[finding.state]:<5}{finding.name:<{width + 2}}{finding.found}")
        lines += [f"{'':<{width + 7}}-> {finding.fix}"] if finding.fix else []
    bad, unsure = (sum(finding.state == state for finding in findings) for state in ("bad", "unsure"))
    return "\n".join([*lines, "", f"{len(findings)} checks: {bad} will fail, {unsure} to look at"])


def as_data(findings: list[Finding]) -> dict:
    """The same as one JSON object."""
    return {
        "findings": [asdict(finding) for finding in findings],
        "bad": sum(finding.state == "bad" for finding in findings),
    }
