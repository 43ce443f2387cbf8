"""The command `rpt compare`: more systems in `runs`, brought up to date like any other, and the paper's
tables with them.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from data_contracts.failure import Exit, Failure
from flows.terminal.output import Json, out
from flows.workspace import ROOT

if TYPE_CHECKING:
    from flows.compare.runs import Wanted

Systems = Annotated[
    tuple[str, ...],
    Parameter(
        consume_multiple=True,
        negative=(),
        help="systems of data_contracts/systems.py, or `all` that params.yaml has a recipe for",
    ),
]
Corpora = Annotated[
    tuple[str, ...],
    Parameter(consume_multiple=True, negative=(), help="corpora of params.yaml; none means all"),
]
Seeds = Annotated[
    tuple[int, ...],
    Parameter(
        consume_multiple=True, negative=(), help="train each system with each of these; an order takes three"
    ),
]
Name = Annotated[
    str | None, Parameter(help="of the directory in comparisons/; none means the corpora's names")
]


def compare(
    *,
    systems: Systems,
    corpora: Corpora = (),
    seeds: Seeds = (0,),
    dense: Annotated[
        bool, Parameter(help="also read RETRO, RPT-Lex and RPT-Sem with a DPR-style retriever, as in Table 4")
    ] = False,
    name: Name = None,
    run: Annotated[
        bool, Parameter(help="train and evaluate what is missing or stale; without, show what is there")
    ] = True,
    verbose: Annotated[
        bool, Parameter(name=["--verbose", "-v"], negative=(), help="show the log lines of stages too")
    ] = False,
    json_: Json = False,
) -> int:
    """Train and evaluate systems and print the paper's Tables 2, 3 and 4 with them; only what is missing or
    stale is done.

    Runs that params.yaml lacks are added to it. The tables are kept in comparisons/, as Markdown, JSON and a
    page, and not tracked: they hold measured times. A system that fails leaves the others as they are; the
    same command goes on.

    Examples: `./rpt compare --systems transformer_xl retro rpt_sem`;
    `./rpt compare --systems all --corpora math code --seeds 0 1 2`; `./rpt compare --systems all --dense`;
    `./rpt compare --systems all --no-run --json`
    """
    from flows.compare.results import compared, directory_of, write
    from flows.compare.runs import bring_up_to_date, choose
    from reports.comparison.page import markdown
    from stages.parameters import load

    configuration = load(ROOT / "params.yaml")
    chosen = choose(configuration, list(systems), list(corpora), list(seeds), dense)
    target = directory_of(name, chosen)
    failure = bring_up_to_date(configuration, chosen, verbose) if run else None
    old = _stale(chosen) if failure or not run else {}
    result = compared(configuration, target.name, chosen, old)
    write(result, target)
    out(json.dumps(asdict(result)) if json_ else markdown(result).rstrip("\n"))
    sys.stderr.write(
        f"table  {target.relative_to(ROOT) / 'table.md'}\npage   {target.relative_to(ROOT) / 'index.html'}\n"
    )
    if failure:
        raise failure
    return Exit.DONE


def _stale(chosen: list[Wanted]) -> dict[str, str]:
    """What is stale, or nothing and a line that says why that is not known."""
    from flows.compare.runs import stale

    try:
        return stale(chosen)
    except Failure as failure:
        sys.stderr.write(f"what is stale is not known: {failure.what}: {failure.cause}\n")
        return {}
