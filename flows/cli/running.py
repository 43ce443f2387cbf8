"""The commands that run stages, `rpt demo` and `rpt run`, and `rpt watch`, which shows it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from data_contracts.failure import Exit, Failure
from flows.cli.options import Overrides, Stages, Verbose, parsed
from flows.terminal.output import out
from flows.workspace import ROOT, from_caller

if TYPE_CHECKING:
    from flows.terminal.display import Display


def demo(
    *,
    chaos: Annotated[
        bool,
        Parameter(negative=(), help="then again in a copy that is killed five times, and compare every byte"),
    ] = False,
    override: Overrides = (),
    verbose: Verbose = False,
) -> int:
    """Run the whole pipeline on real text with a private Prefect server, and show what came out. Run again to
    go on after a stop.

    Examples: `./rpt demo`;
    `./rpt demo -o corpora.demo.source=my_books/ -o corpora.demo.max_characters=3000000`; `./rpt demo --chaos`
    """
    from flows.commands.demo import run_demo

    code = run_demo(parsed(override), verbose)
    if chaos and code == Exit.DONE:
        from flows.commands.demo_chaos import disturb

        return disturb(seed=int.from_bytes(os.urandom(4), "big"))
    return code


def run(
    *stages: Stages,
    profile: Annotated[
        str | None, Parameter(help="a whole configuration of profiles/, copied to params.yaml first")
    ] = None,
    force: Annotated[
        bool, Parameter(negative=(), help="let --profile overwrite edits of params.yaml")
    ] = False,
    override: Overrides = (),
    allow_weak_labels: Annotated[
        bool,
        Parameter(negative=(), help="short for -o label_gates.enforce=false: go on whatever the gates say"),
    ] = False,
    from_checkpoint: Annotated[
        Path | None,
        Parameter(
            help=(
                "a directory of .work/ with a checkpoint that was set aside; the training named goes on"
                " from it"
            )
        ),
    ] = None,
    corpus: Annotated[
        str | None, Parameter(help="everything of this corpus and its runs, instead of naming stages")
    ] = None,
    verbose: Verbose = False,
) -> int:
    """Bring stages and their stale ancestors up to date, as plain Python without Prefect or a server.

    Examples: `./rpt run`; `./rpt run scoring -o scoring.candidates=12`;
    `./rpt run mining --profile paper-pg19`; `./rpt run --corpus demo`
    """
    if corpus is not None:
        stages = _of_corpus(corpus, stages, known_now=profile is None)
    from flows.commands.outcome import outcome_lines
    from flows.terminal.display import Display
    from flows.workspace import workspace_lock

    display = Display(verbose)
    try:
        with workspace_lock("rpt run"):
            overrides = parsed(override) | ({"label_gates.enforce": False} if allow_weak_labels else {})
            _execute(list(stages), overrides, profile, force, from_checkpoint, display)
    finally:
        display.close()
    for line in outcome_lines(display.results):
        out(line)
    return Exit.DONE


def _execute(
    stages: list[str],
    overrides: dict[str, object],
    profile: str | None,
    force: bool,
    from_checkpoint: Path | None,
    display: Display,
) -> None:
    from flows.event_log import EventLog
    from flows.execution import execute, prepare

    asked = _asked(from_checkpoint and from_caller(from_checkpoint), stages)
    configuration, steps = prepare(overrides, stages, profile, force)
    if asked and not steps[-1].stale:
        raise Failure(
            f"--from-checkpoint {from_checkpoint}",
            f"{stages[0]} is up to date",
            "nothing is left to do",
            Exit.USAGE,
        )
    os.environ |= asked
    execute(steps, configuration, EventLog(display))


def watch(
    *,
    verbose: Verbose = False,
    page: Annotated[
        bool, Parameter(negative=(), help="serve a page of it instead, with curves, until Ctrl-C")
    ] = False,
    port: Annotated[
        int | None, Parameter(help="of 127.0.0.1, for the page; without it, or with 0, a free one")
    ] = None,
    open_: Annotated[
        bool, Parameter(name="--open", negative=(), help="open the page in this machine's browser")
    ] = False,
) -> int:
    """Show the run that goes in this workspace, whoever started it: stages, progress, and how it ended. Its
    exit code is that of the run; with --page it is 0.

    If none goes, the last one is shown, or, while `./rpt up` serves, the next one is waited for.

    Examples: `prefect deployment run rpt/full-pipeline && ./rpt watch`; `./rpt watch -v`;
    `./rpt watch --page --open`
    """
    if page and verbose:
        cause = "-v is for the terminal; the page has the log lines without it"
        raise Failure("watch --page --verbose", cause, "leave out -v", Exit.USAGE)
    if not page and (port is not None or open_):
        raise Failure("watch", "--port and --open are for --page", "add --page", Exit.USAGE)
    if page:
        from flows.commands.watch_page import watch_page

        return watch_page(port or 0, open_)
    from flows.commands.serving import serving
    from flows.commands.watch import watch as show

    return show(verbose, served=serving() is not None)


def _of_corpus(corpus: str, stages: tuple[str, ...], known_now: bool) -> tuple[str, str]:
    """The last stages of a corpus, which must be one of params.yaml if that is `known_now`.

    Raises:
        Failure: (exit code 2) if it is none, or if stages are named too.
    """
    from stages.parameters import load

    if stages:
        raise Failure(
            f"--corpus {corpus}",
            f"stages are named too: {', '.join(stages)}",
            f"name {stages[0]}@{corpus}",
            Exit.USAGE,
        )
    known = load(ROOT / "params.yaml").corpora if known_now else [corpus]
    if corpus not in known:
        remedy = f"one of {', '.join(known)}; `./rpt new {corpus} --source ...` adds it"
        raise Failure(f"--corpus {corpus}", "params.yaml does not name it", remedy, Exit.USAGE)
    return f"label_report@{corpus}", f"report@{corpus}"


def _asked(from_checkpoint: Path | None, stages: list[str]) -> dict[str, str]:
    """What tells a stage to take up a checkpoint: part of the environment that it inherits."""
    from stages.identity.from_checkpoint import VARIABLE, ask_for

    return {VARIABLE: ask_for(from_checkpoint, stages)} if from_checkpoint else {}
