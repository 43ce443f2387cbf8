"""Carries out a plan, stage by stage, whoever asked for it. Events: plan, begin, progress, note, line, end,
failure, finish.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from data_contracts.failure import Exit, Failure
from data_contracts.whole_files import write_atomically
from flows import durations, makers
from flows.dvc_task import Dvc, StageState, read_state, waiting_dvc
from flows.event_log import EventLog
from flows.overrides import apply_overrides
from flows.plan import Step, make_plan
from flows.profiles import use_profile
from flows.terminal.display import progress_figures
from flows.workspace import ROOT, STATE, child_environment
from infra.supervisor import release
from stages.engines.choice import automatic_engine
from stages.identity.code_files import write_code_files
from stages.ingestion.inventory import write_inventories
from stages.parameters import Configuration, load
from stages.runner.stage import RAY_STAGES
from stages.training.wandb_tracker import check_installed

Around = Callable[[Step, Callable[[], str]], str]


def prepare(
    overrides: dict[str, object], stages: list[str], profile: str | None = None, force: bool = False
) -> tuple[Configuration, list[Step]]:
    """Write the profile, the overrides and the engine that `auto` stands for into params.yaml, bring sources/
    up to date, and plan; what the overrides changed is said on standard error.

    Raises:
        Failure: for a wrong profile, parameter or stage, a corpus without input, or a tokenizer that is not
            there; params.yaml is then as it was.
    """
    with waiting_dvc() as dvc, unless_refused(ROOT / "params.yaml") as params:
        if profile:
            use_profile(params, profile, force)
        change = apply_overrides(params, overrides)
        _settle_engine(load(params))
        configuration, states = look(dvc)
        steps = make_plan(states, stages)
        if any(step.stale and step.stage.startswith("tokenizer@") for step in steps):
            # with NumPy and Arrow, which most plans do without
            from stages.tokens.tokenizer import check_choice

            check_choice(configuration.tokenization.tokenizer)
        project = configuration.runtime.wandb_project
        if project and any(step.stale and step.stage.startswith("training@") for step in steps):
            check_installed(project)
        sys.stderr.write(change)
        return configuration, steps


def look(dvc: subprocess.Popen) -> tuple[Configuration, list[StageState]]:
    """The configuration and every stage of it, after sources/ was brought up to date; `dvc` is waiting
    (flows/dvc_task.py).

    Raises:
        Failure: for a wrong parameter, or a corpus without input.
    """
    configuration = load(ROOT / "params.yaml")
    if configuration.scoring.engine == "auto":
        name, _ = automatic_engine(configuration.geometry.chunk_tokens)
        configuration = configuration.model_copy(
            update={"scoring": configuration.scoring.model_copy(update={"engine": name})}
        )
    with contextlib.chdir(ROOT):
        write_inventories(configuration)
        write_code_files(configuration)
    return configuration, read_state(dvc)


@contextlib.contextmanager
def unless_refused(path: Path) -> Iterator[Path]:
    """Put the file back as it was if what is planned with it is refused."""
    before = path.read_bytes()
    try:
        yield path
    except Failure:
        if path.read_bytes() != before:
            write_atomically(path, before)
        raise


def _settle_engine(configuration: Configuration) -> None:
    """Write the engine that `scoring.engine: auto` stands for into params.yaml: labels must name what they
    came from.
    """
    if configuration.scoring.engine == "auto":
        name, why = automatic_engine(configuration.geometry.chunk_tokens)
        change = apply_overrides(ROOT / "params.yaml", {"scoring.engine": name})
        sys.stderr.write(
            f"scoring.engine: auto is {name} here, because {why}; params.yaml now says so\n{change}"
        )


def execute(
    steps: list[Step], configuration: Configuration, log: EventLog, around: Around = lambda step, work: work()
) -> dict[str, str]:
    """Bring every step up to date in order; stage -> ran, restored or unchanged. `around` may wrap the work
    of each, as a task say.

    Raises:
        Failure: of the first stage that failed, with the stage's own exit code.
    """
    log("plan", stages=[{"stage": step.stage, "reasons": list(step.reasons)} for step in steps])
    results: dict[str, str] = {}
    try:
        with Dvc() as dvc, LocalRay() as ray:
            for number, step in enumerate(steps, 1):
                results[step.stage] = around(
                    step, partial(_bring_up_to_date, step, number, len(steps), dvc, ray, configuration, log)
                )
    except Failure as failure:
        log("failure", code=int(failure.code), what=failure.what, cause=failure.cause, remedy=failure.remedy)
        raise
    log("finish", results=results)
    return results


def _bring_up_to_date(
    step: Step, number: int, of: int, dvc: Dvc, ray: LocalRay, configuration: Configuration, log: EventLog
) -> str:
    if not step.stale:
        log("end", stage=step.stage, number=number, result="unchanged", seconds=0.0)
        return "unchanged"
    log("begin", stage=step.stage, number=number, of=of)
    began, commit = time.monotonic(), makers.commit()
    environment = ray.environment() if step.stage.split("@")[0] in RAY_STAGES else {}
    progress = ""

    def said(message: dict) -> None:
        nonlocal progress
        if message["event"] == "progress":
            progress = progress_figures({**message, "seconds_left": None})
        log(message.pop("event"), stage=step.stage, **message)

    for attempt in range(configuration.runtime.retries + 1):
        outcome = dvc.reproduce(
            step.stage,
            environment,
            said,
            lambda line: log("line", stage=step.stage, text=line),
        )
        # Only the stage knows what is worth another try: a lost worker is, a broken contract is not.
        if not outcome.retry:
            break
        log("line", stage=step.stage, text=f"attempt {attempt + 1} failed: {outcome.failure}")
    seconds = time.monotonic() - began
    log("end", stage=step.stage, number=number, result=outcome.result, seconds=round(seconds, 1))
    if outcome.result == "ran":
        _note(step.stage, seconds, progress, commit, log)
    if failure := outcome.failure:
        dvc.put_back(step.stage, lambda line: log("line", stage=step.stage, text=line))
        if failure.code == Exit.CONTRACT:
            from flows.status import verify_all

            verify_all(ROOT / "artifacts")  # so that running again mends a corrupt input
        raise Failure(f"{step.stage}: {failure.what}", failure.cause, failure.remedy, failure.code)
    return outcome.result


def _note(stage: str, seconds: float, progress: str, commit: str, log: EventLog) -> None:
    """Write down how a stage ran. Its artifacts are whole already: no failure of this ends the run."""
    try:
        durations.remember(stage, seconds)
        makers.remember(stage, seconds, progress, commit)
    except (OSError, ValueError, KeyError) as error:
        log("line", stage=stage, text=f"how {stage} ran is not noted in .run/: {error!r}")


class LocalRay:
    """One Ray for the whole run, in a child of its own, started when the first stage needs it; RAY_ADDRESS
    points elsewhere instead.
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen | None = None
        self._environment: dict[str, str] = {}

    def __enter__(self) -> LocalRay:
        return self

    def environment(self) -> dict[str, str]:
        """What a stage needs to find Ray.

        Raises:
            Failure: (exit code 5) if the local Ray does not start.
        """
        inherited = child_environment()
        if self._child is None and "RAY_ADDRESS" not in inherited:
            command = [sys.executable, "-m", "infra.local_ray"]
            with open(STATE / "ray.log", "w", encoding="utf-8") as errors:
                self._child = subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env=inherited,
                    text=True,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    start_new_session=True,
                )
            self._environment = next(self._announcements(), {})
            if not self._environment:
                raise Failure(
                    "the local Ray did not start",
                    "see .run/ray.log",
                    "free memory, or set RAY_ADDRESS",
                    Exit.ENVIRONMENT,
                )
        return self._environment

    def _announcements(self) -> Iterator[dict[str, str]]:
        assert self._child
        assert self._child.stdout
        for line in self._child.stdout:
            if line.startswith('{"RAY_ADDRESS"'):
                yield json.loads(line)

    def __exit__(self, *_: object) -> None:
        if self._child:
            release(self._child)
