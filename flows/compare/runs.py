"""The runs of a comparison: which they are, how they come into params.yaml, and how they are brought up to
date.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from data_contracts.ceilings import CEILING
from data_contracts.evaluations import BASELINE, DPR, ORACLE
from data_contracts.failure import Exit, Failure
from data_contracts.systems import RECORDS
from flows.event_log import EventLog
from flows.execution import execute, prepare
from flows.overrides import SameAs, apply_overrides
from flows.plan import AFTER, Step
from flows.terminal.display import Display
from flows.workspace import ROOT, workspace_lock
from reports.metrics.published import TABLE_4
from stages.parameters import Configuration
from stages.parameters.training import STARTS
from stages.training.systems import INPUT_OF

EVERY = "all"
OF_A_RUN = ("training", "start", "evaluation", ORACLE, CEILING, "dense_evaluation")
SWAPPED = frozenset(row.system for row in TABLE_4 if row.setting == DPR)
"""The systems that the paper also reads with the neighbours of a DPR-style retriever."""
STOPPING = (Exit.ENVIRONMENT, Exit.BUDGET, Exit.LOCKED, Exit.INTERRUPTED)
"""Exit codes of a stage after which no other is tried."""


@dataclass(frozen=True)
class Wanted:
    """A run of a comparison; `name` is its key in `runs` of params.yaml, which may not have it yet. With
    `dense` it is also read with the neighbours of a DPR-style retriever; `start` is the run that it begins
    with."""

    name: str
    corpus: str
    system: str
    seed: int
    dense: bool = False
    start: str = ""

    @property
    def stages(self) -> list[str]:
        """The stages that make its rows."""
        oracle = [ORACLE] if RECORDS[self.system].retriever == "own" else []
        ceilings = [CEILING] if self.system == BASELINE else []
        dense = ["dense_evaluation"] if self.dense else []
        return [f"{stage}@{self.name}" for stage in ("evaluation", *oracle, *ceilings, *dense)]

    @property
    def entry(self) -> dict[str, object]:
        """Its value in `runs`."""
        return {
            "corpus": self.corpus,
            "system": self.system,
            "input": f"{STARTS}{self.start}" if self.start else INPUT_OF[RECORDS[self.system].supervision],
            "seed": self.seed,
        }


def choose(
    configuration: Configuration,
    systems: list[str],
    corpora: list[str],
    seeds: list[int],
    dense: bool = False,
) -> list[Wanted]:
    """Every system on every corpus with every seed, by corpus; a run that params.yaml has under another name
    keeps it.

    With `dense`, those of Table 4 are also read with a DPR-style retriever.

    Raises:
        Failure: (exit code 2) for an unknown system or corpus, a system without a recipe, a seed below 0, or
            names that are taken.
    """
    known = [
        name
        for name, record in RECORDS.items()
        if {name, record.recipe} & configuration.recipes.keys()
        and {record.begins_with} <= {"", *configuration.recipes}
    ]
    asked = known if systems == [EVERY] else list(dict.fromkeys(systems))
    for system in asked:
        _known("system", system, [*RECORDS, EVERY], "data_contracts/systems.py has none of this name")
        if system not in known:
            remedy = f"add `{system}` to `recipes`; there are recipes for {', '.join(known)}"
            raise Failure(f"system {system!r}", "params.yaml has no recipe for it", remedy, Exit.USAGE)
    for corpus in corpora:
        _known("corpus", corpus, list(configuration.corpora), "params.yaml does not name it")
    if wrong := [seed for seed in seeds if seed < 0]:
        raise Failure(f"seed {wrong[0]}", "seeds are 0 or greater", "choose another", Exit.USAGE)
    places = [
        (corpus, system) for corpus in dict.fromkeys(corpora or configuration.corpora) for system in asked
    ]
    chosen = [
        _wanted(configuration, corpus, system, seed)
        for corpus, system in places
        for seed in dict.fromkeys(seeds)
    ]
    return [replace(one, dense=dense and one.system in SWAPPED) for one in chosen]


def _known(kind: str, name: str, known: list[str], cause: str) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(known)}"
        raise Failure(f"{kind} {name!r}", cause, remedy, Exit.USAGE)


def _wanted(configuration: Configuration, corpus: str, system: str, seed: int) -> Wanted:
    """What begins with a trained run begins with one of the same corpus and seed."""
    found, start = _named(configuration, corpus, system, seed), RECORDS[system].begins_with
    return replace(found, start=_named(configuration, corpus, start, seed).name) if start else found


def _named(configuration: Configuration, corpus: str, system: str, seed: int) -> Wanted:
    wanted = (corpus, system, seed)
    for name, run in configuration.runs.items():
        if (run.corpus, run.system, run.seed) == wanted:
            return Wanted(name, *wanted)
    names = [*([f"{corpus}-{system}"] if seed == 0 else []), f"{corpus}-{system}-s{seed}"]
    free = [name for name in names if name not in configuration.runs]
    if not free:
        cause = f"params.yaml has other runs of the names {', '.join(names)}"
        raise Failure(f"{system} on {corpus} with seed {seed}", cause, "rename them in `runs`", Exit.USAGE)
    return Wanted(free[0], *wanted)


def add_runs(configuration: Configuration, chosen: Iterable[Wanted]) -> str:
    """Put what is missing into params.yaml; the changed lines as a diff, empty if there are none."""
    chosen = list(chosen)
    starts = [
        Wanted(one.start, one.corpus, RECORDS[one.system].begins_with, one.seed)
        for one in chosen
        if one.start and one.name not in configuration.runs
    ]
    chosen = [*starts, *chosen]
    missing: dict[str, object] = {
        f"runs.{one.name}": one.entry for one in chosen if one.name not in configuration.runs
    }
    without = dict.fromkeys(one.system for one in chosen if one.system not in configuration.recipes)
    missing |= {f"recipes.{system}": SameAs(f"recipes.{RECORDS[system].recipe}") for system in without}
    reading = [one.corpus for one in chosen if RECORDS[one.system].supervision == "corpus"]
    if unknown := [corpus for corpus in reading if corpus not in configuration.indexed_corpora]:
        missing["indexed_corpora"] = list(dict.fromkeys([*configuration.indexed_corpora, *unknown]))
    missing |= {
        f"starts.{one.name}": {"corpus": one.corpus, "system": one.system}
        for one in starts
        if one.name not in configuration.starts
    }
    swapped = [one for one in chosen if one.dense and one.name not in configuration.swaps]
    if swapped:
        missing["dense_corpora"] = list(
            dict.fromkeys([*configuration.dense_corpora, *(one.corpus for one in swapped)])
        )
        missing |= {f"swaps.{one.name}": {"corpus": one.corpus, "system": one.system} for one in swapped}
    return apply_overrides(ROOT / "params.yaml", missing) if missing else ""


def bring_up_to_date(configuration: Configuration, chosen: list[Wanted], verbose: bool) -> Failure | None:
    """Add the runs to params.yaml, say so, and do what is stale of their stages and what those need; the
    first failure of a run, whose later stages are left out while those of other runs go on.

    Raises:
        Failure: of a stage that several runs need, or if nothing can go on.
    """
    display = Display(verbose, sys.stderr)
    kept = Kept()
    try:
        with workspace_lock("rpt compare"):
            sys.stderr.write(add_runs(configuration, chosen))
            configuration, steps = prepare({}, [stage for one in chosen for stage in one.stages])
            execute(steps, configuration, EventLog(display), kept)
    finally:
        display.close()
    return kept.failure


def stale(chosen: list[Wanted]) -> dict[str, str]:
    """Run -> why what there is of it is not what its code, data and parameters of now would give; runs that
    are fresh are left out.

    Raises:
        Failure: if params.yaml is wrong or a corpus has no input.
    """
    _, plan = prepare({}, [])
    steps = {step.stage: step for step in plan}
    found = {
        one.name: [step for stage in one.stages if (step := steps.get(stage)) and step.stale]
        for one in chosen
    }
    return {run: _cause(steps, of_run[0]) for run, of_run in found.items() if of_run}


def _cause(steps: dict[str, Step], step: Step) -> str:
    """The change from which a step and all between are stale."""
    while step.reasons[0].startswith(AFTER):
        step = steps[step.reasons[0].removeprefix(AFTER)]
    return f"{step.stage}: {step.reasons[0]}"


class Kept:
    """What `execute` wraps around a step: a run that fails is kept from stopping the others."""

    def __init__(self) -> None:
        self.failure: Failure | None = None
        self._failed: set[str] = set()

    def __call__(self, step: Step, work: Callable[[], str]) -> str:
        stage, _, run = step.stage.partition("@")
        if stage not in OF_A_RUN:
            return work()
        if run in self._failed:
            return "left out"
        try:
            return work()
        except Failure as failure:
            if failure.code in STOPPING:
                raise
            self._failed.add(run)
            self.failure = self.failure or failure
            sys.stderr.write(f"{step.stage} failed: {failure.cause}; the other runs go on\n")
            return "failed"
