"""`rpt plan`: what would run, what scoring would cost, and whether a training step fits chips."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from data_contracts.failure import Exit, Failure
from flows.cli.options import Stages
from flows.terminal.output import Json, out
from flows.workspace import ROOT

if TYPE_CHECKING:
    from flows.plan import Step
    from stages.parameters import Configuration


def plan(
    *stages: Stages,
    calibrate: Annotated[
        bool, Parameter(help="measure this machine for about 20 s for the bill of scoring; kept in .run/")
    ] = True,
    on: Annotated[
        str | None,
        Parameter(
            help="chips to compile a training step for, such as v4:2x4x4, v5e:4x4, tpu7x:2x2x1, h100:1"
        ),
    ] = None,
    profile: Annotated[
        str | None,
        Parameter(help="with --on: a run of this configuration of profiles/, params.yaml stays as it is"),
    ] = None,
    batch: Annotated[
        int | None, Parameter(help="with --on: so many sequences a step instead of training.batch")
    ] = None,
    json_: Json = False,
) -> int:
    """Show what would run, why, about how long it takes here and how much it writes; nothing runs. With
    `scoring` named, also the bill.

    Changed parameters are named with their values. A stage is reckoned with as long as it took when it last
    ran here, times the growth of what it is proportional to (tokens of the reference LM, candidates, training
    steps). The bill has pairs, tokens, time and price.

    With `training` and --on, the step of a run is compiled for chips that need not be here, in an environment
    of its own (1.5 GB, made once): whether it fits their memory, which batch does, and what devices exchange.
    Of several runs the one with most operations is taken. The paper's shape takes minutes.

    Examples: `./rpt plan`; `./rpt plan scoring`; `./rpt plan scoring@demo --no-calibrate --json`;
    `./rpt plan training demo-rpt_sem --on v5e:1x1`;
    `./rpt plan training pg19-rpt_sem --profile paper-pg19 --on v4:2x4x4 --json`
    """
    if on is not None:
        return _plan_on(list(stages), on, profile, batch, json_)
    if profile or batch is not None:
        raise Failure(
            "rpt plan",
            "--profile and --batch are for a training step on chips",
            "add --on, such as --on v5e:1x1",
            Exit.USAGE,
        )
    return _plan_here(list(stages), calibrate, json_)


def _plan_here(stages: list[str], calibrate: bool, json_: bool) -> int:
    from flows.commands.look import looked

    configuration, states, steps = looked(stages)
    from flows.commands import planned

    rows = planned.planned(steps, states)
    named = any(stage.split("@")[0] == "scoring" for stage in stages)
    bills = _bills(configuration, steps, calibrate) if named else []
    if json_:
        out(json.dumps({**planned.as_data(rows, ROOT), **({"bills": bills} if named else {})}))
        return Exit.DONE
    out(planned.as_text(rows, ROOT))
    if named:
        from flows.commands.bill_text import as_text

        out(f"\n{as_text(bills)}")
    return Exit.DONE


def _plan_on(stages: list[str], on: str, profile: str | None, batch: int | None, json_: bool) -> int:
    """`rpt plan training [RUN] --on CHIPS`; the run may also be written `training@RUN`."""
    from flows.commands.fits import fit
    from flows.commands.fits_text import as_text
    from flows.profiles import profile_path
    from stages.parameters import load

    words = [word for stage in stages for word in stage.split("@", 1)]
    if words[:1] != ["training"] or len(words) > 2:
        example = "./rpt plan training demo-rpt_sem --on v5e:1x1"
        raise Failure(
            f"rpt plan {' '.join(stages)} --on {on}",
            "it is for one run's training",
            f"write {example}",
            Exit.USAGE,
        )
    if batch is not None and batch < 1:
        raise Failure(f"--batch {batch}", "a step reads at least one sequence", "give 1 or more", Exit.USAGE)
    configuration = load(profile_path(profile) if profile else ROOT / "params.yaml")
    found = fit(configuration, words[1] if len(words) == 2 else None, on, batch)
    out(json.dumps(found) if json_ else as_text(found))
    return Exit.DONE


def _bills(configuration: Configuration, steps: list[Step], calibrate: bool) -> list[dict]:
    from flows.commands.bill import bills

    if calibrate and any(step.stale for step in steps):
        sys.stderr.write(
            "measuring how fast this machine scores takes about 20 s the first time (--no-calibrate leaves it"
            " out)\n"
        )
    return bills(steps, configuration, calibrate)
