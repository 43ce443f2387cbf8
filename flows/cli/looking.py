"""The commands that look at what there is: artifacts, the machine, training steps, reports, what was
retrieved.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from data_contracts.failure import Exit, Failure
from flows.cli.options import Verbose
from flows.terminal.output import Json, out
from flows.workspace import ROOT, from_caller

AT_LEAST_0, AT_LEAST_1 = validators.Number(gte=0), validators.Number(gte=1)
SHARE = validators.Number(gt=0, lte=1)


def status(*, json_: Json = False) -> int:
    """Show every stage: fresh, stale or missing, how old and how large what it wrote is, and where the pages
    are; nothing runs.

    Examples: `./rpt status`; `./rpt status --json`
    """
    from flows.commands.look import looked

    configuration, states, steps = looked([])
    from flows.commands import stage_status

    rows, pages = (
        stage_status.stage_status(steps, states, ROOT),
        stage_status.pages(list(configuration.corpora), ROOT),
    )
    out(json.dumps(stage_status.as_data(rows, pages)) if json_ else stage_status.as_text(rows, pages))
    return Exit.DONE


def verify(*, json_: Json = False) -> int:
    """Read every shard of every artifact against its digest and its contract; exit code 3 names those that
    fail.
    """
    from flows.status import verify_all

    problems = verify_all(ROOT / "artifacts")
    if json_:
        out(json.dumps({"problems": problems}))
    else:
        for problem in problems:
            out(problem)
        out(f"{len(problems)} problems" if problems else "every shard is as its manifest and contract say")
    return Exit.CONTRACT if problems else Exit.DONE


def doctor(*, json_: Json = False) -> int:
    """Look at this machine, this checkout and its network, and say what will fail, with a line to paste; exit
    code 5 if something will.

    Examples: `./rpt doctor`; `./rpt doctor --json`
    """
    from flows.doctor import checkout, machine, network, stores
    from flows.doctor.finding import as_data, examine, report

    findings = [
        examine(name, check)
        for part in (machine, checkout, network, stores)
        for name, check in part.CHECKS.items()
    ]
    out(json.dumps(as_data(findings)) if json_ else report(findings))
    return Exit.ENVIRONMENT if any(finding.state == "bad" for finding in findings) else Exit.DONE


def batch(
    run: Annotated[str, Parameter(help="a run of params.yaml")],
    /,
    *,
    step: Annotated[int | None, Parameter(help="show what this step reads, counted from 0")] = None,
    sequence: Annotated[int | None, Parameter(help="show this training sequence instead")] = None,
    json_: Json = False,
) -> int:
    """Show what a training step reads: the exact text of its sequences, and each chunk's candidates, labels
    and gold neighbours.

    Examples: `./rpt batch demo-rpt_sem --step 37`; `./rpt batch demo-rpt_sem --sequence 0 --json`
    """
    from flows.commands.batch import look
    from flows.commands.batch_text import print_batch
    from stages.parameters import load

    if (step is None) == (sequence is None):
        raise Failure(
            "rpt batch", "it shows one step or one sequence", "give --step or --sequence", Exit.USAGE
        )
    found = look(load(ROOT / "params.yaml"), run, step, sequence)
    out(json.dumps(found)) if json_ else print_batch(found)
    return Exit.DONE


def generate(
    run: Annotated[str, Parameter(help="a trained run of params.yaml")],
    /,
    *,
    prompt: Annotated[str | None, Parameter(help="go on with this text")] = None,
    file: Annotated[Path | None, Parameter(help="go on with the text of this file")] = None,
    document: Annotated[
        str | None, Parameter(help="go on with a document of the corpus after a chunk: DOC:CHUNK")
    ] = None,
    tokens: Annotated[int, Parameter(validator=AT_LEAST_1, help="at most so many new ones")] = 128,
    temperature: Annotated[
        float, Parameter(validator=AT_LEAST_0, help="0: always the most likely token")
    ] = 0.8,
    top_p: Annotated[
        float, Parameter(validator=SHARE, help="draw from the likeliest tokens that hold this share")
    ] = 0.95,
    seed: Annotated[int, Parameter(validator=AT_LEAST_0, help="of what is drawn")] = 0,
    json_: Json = False,
) -> int:
    """Let a trained run go on with a text, and show which earlier chunks it read while it wrote.

    Without a prompt it begins a text. A token costs a pass over one window stride. Until prompt and new text
    are longer than two strides and a chunk, nothing is read.

    Examples: `./rpt generate demo-rpt_sem --document 3f9a:40`;
    `./rpt generate demo-rpt_sem --file draft.py --tokens 200 --temperature 0 --json`
    """
    from flows.commands.generate import go_on, place_of
    from flows.commands.generate_text import Lines, print_read
    from stages.evaluation.sampling import Sampling
    from stages.parameters import load

    if sum(given is not None for given in (prompt, file, document)) > 1:
        what = "it goes on with one text"
        raise Failure("rpt generate", what, "give one of --prompt, --file, --document", Exit.USAGE)
    begin = (
        place_of(document) if document is not None else text_of(from_caller(file)) if file else prompt or ""
    )
    sampling, lines = Sampling(tokens, temperature, top_p, seed), Lines()
    found = go_on(load(ROOT / "params.yaml"), run, begin, sampling, (lambda _: None) if json_ else lines)
    if json_:
        out(json.dumps(found))
    else:
        lines.end()
        print_read(found)
    return Exit.DONE


def text_of(file: Path) -> str:
    """The text of a file of the user's.

    Raises:
        Failure: (exit code 2) if it cannot be read as UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{file}", str(error), "give a text file in UTF-8", Exit.USAGE) from error


def report_(
    *corpora: Annotated[str, Parameter(help="corpora of params.yaml; none means all")],
    verbose: Verbose = False,
    json_: Json = False,
) -> int:
    """Bring the report of a run up to date: perplexity, retrieval, settings and figures as a page, as JSON
    and as CSV.

    Examples: `./rpt report`; `./rpt report demo --json`
    """
    from flows.commands.pages import RUN, as_json, as_lines, bring_up_to_date

    done = bring_up_to_date(RUN, list(corpora), verbose)
    out(as_json(RUN, done) if json_ else "\n".join(as_lines(RUN, done)))
    return Exit.DONE


def explore(
    corpus: Annotated[
        str | None,
        Parameter(help="a corpus, or a directory with its artifacts; none means the only evaluated one"),
    ] = None,
    /,
    *,
    pretrained: Annotated[
        bool, Parameter(negative=(), help="the weights that come with the project, on their sample of text")
    ] = False,
    port: Annotated[int, Parameter(help="of 127.0.0.1; 0 is a free one")] = 0,
    open_: Annotated[
        bool, Parameter(name="--open", negative=(), help="open the page in this machine's browser")
    ] = False,
    json_: Json = False,
) -> int:
    """Serve pages on what evaluated systems retrieved and what it did to the loss, until Ctrl-C; with --json
    only print their figures.

    What a training step read is shown by `./rpt batch`. Examples: `./rpt explore`;
    `./rpt explore --pretrained`; `./rpt explore demo --port 8080`; `./rpt explore --json`
    """
    from flows.commands.explorer import explore as serve_pages
    from flows.commands.explorer import systems

    if pretrained:
        from model.pretrained import CODE

        if corpus:
            cause = f"it was asked for {corpus!r} and for the weights that come with the project"
            raise Failure("rpt explore", cause, "leave one of the two out", Exit.USAGE)
        corpus = str(CODE)
    if json_:
        out(json.dumps(systems(corpus)))
        return Exit.DONE
    return serve_pages(corpus, port, open_)
