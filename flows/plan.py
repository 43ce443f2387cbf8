"""Which stages to bring up to date, and why: the named ones and their stale ancestors, never their
descendants.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from data_contracts.failure import Exit, Failure
from flows.dvc_task import StageState

AFTER = "after "  # begins the reason of a step that only follows another


@dataclass(frozen=True)
class Step:
    """One stage of a plan. `reasons` is empty when nothing can have changed for it; then DVC is not even
    asked.
    """

    stage: str
    reasons: tuple[str, ...]

    @property
    def stale(self) -> bool:
        """Whether the stage or something it needs has changed."""
        return bool(self.reasons)


def chosen(names: list[str], states: list[StageState]) -> set[str]:
    """The stages meant by `names`: `scoring` is scoring of every corpus, `scoring@demo` of one; no name means
    all but the supervision that no run learns from.

    Raises:
        Failure: (exit code 2) for a name that dvc.yaml does not have, with the nearest one.
    """
    known = [state.name for state in states]
    if not names:
        needed = set[str]().union(*(state.needs for state in states))
        return {name for name in known if name in needed or not name.split("@")[0].endswith("_supervision")}
    groups = {name.split("@")[0] for name in known}
    for name in names:
        if name not in groups and name not in known:
            remedy = _nearest(name, known) or f"one of {', '.join(sorted(groups))}"
            raise Failure(f"stage {name!r}", "dvc.yaml has no such stage", remedy, Exit.USAGE)
    return {known_name for known_name in known if known_name in names or known_name.split("@")[0] in names}


def _nearest(name: str, known: list[str]) -> str:
    """A remedy with the names that were likely meant: those of the same stage if it has others, as
    `training@demo` is of no run.
    """
    of_the_stage = [one for one in known if one.split("@")[0] == name.split("@")[0]]
    near = of_the_stage or difflib.get_close_matches(
        name, sorted({one.split("@")[0] for one in known}) + known, n=1
    )
    return f"did you mean {' or '.join(map(repr, near))}?" if near else ""


def make_plan(states: list[StageState], names: list[str]) -> list[Step]:
    """Steps in the order of the DAG: the chosen stages and all their ancestors, each with the reasons why it
    may have to run.
    """
    by_name = {state.name: state for state in states}
    wanted, pending = set[str](), list(chosen(names, states))
    while pending:
        name = pending.pop()
        if name not in wanted:
            wanted.add(name)
            pending += by_name[name].needs
    steps: dict[str, Step] = {}
    for state in states:
        if state.name in wanted:
            follows = tuple(f"{AFTER}{need}" for need in state.needs if steps[need].stale)
            steps[state.name] = Step(state.name, state.changes + follows)
    return list(steps.values())
