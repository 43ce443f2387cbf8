"""The commands for what is kept: half-finished work, results and weights in git, and the label store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from data_contracts.failure import Exit, Failure
from data_contracts.places import resolved
from flows.terminal.output import Json, out
from flows.workspace import ROOT, from_caller

ledger = App(
    name="ledger", help="The label store, which keeps every scored pair so that none is paid for twice."
)


def gc(
    *,
    yes: Annotated[bool, Parameter(negative=(), help="remove it; without this it is only listed")] = False,
    json_: Json = False,
) -> int:
    """List half-finished work that no run goes on with by itself, such as checkpoints of other code: what,
    how large, why it may go.

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
        out(json.dumps({"unused": rows, "removed": yes}))
        return Exit.DONE
    for row in rows:
        out(f"{row['bytes'] / 1e6:>10.1f} MB  {row['scratch']}: {row['what']}; {row['why']}")
    what = f"{sum(row['bytes'] for row in rows) / 1e6:.1f} MB" if rows else "nothing"
    out(f"{what} {'removed' if yes else 'to remove' + ('; `./rpt gc --yes` does' if rows else '')}")
    return Exit.DONE


def results(
    profile: Annotated[str, Parameter(help="of profiles/, the one that params.yaml is a copy of")],
) -> int:
    """Keep the figures of a profile's runs in metrics/results/, which git tracks, and write docs/results.md
    from all that are kept.

    Perplexity and paired gains of every system over its seeds; no times. Nothing runs: what is missing or
    stale is an error.

    Example: `./rpt results small-code`
    """
    from flows.commands.results import keep
    from flows.workspace import workspace_lock

    with workspace_lock("rpt results"):
        out("\n".join(keep(profile)))
    return Exit.DONE


def weights(
    *runs: Annotated[str, Parameter(help="evaluated runs of one corpus, each of another system")],
    sample: Annotated[
        list[str], Parameter(help="held-out documents that are kept as the sample", consume_multiple=True)
    ],
) -> int:
    """Keep the weights of runs in model/pretrained/CORPUS/, which git tracks: float16, with a tokenizer, a
    sample of held-out text, and figures before and after rounding.

    Nothing is trained: what is missing or stale is an error. The card README.md in that folder is written by
    hand.

    Example: `./rpt weights code-transformer_xl code-rpt_sem --sample DOC`
    """
    from flows.commands.weights import keep
    from flows.workspace import workspace_lock

    with workspace_lock("rpt weights"):
        out(keep(list(runs), sample).as_posix())
    return Exit.DONE


@ledger.command
def stats(*, json_: Json = False) -> int:
    """Show the scorers, pairs and bytes that the ledger holds, and its corrupt files, which the next scoring
    replaces.
    """
    from flows.commands.ledger import stats as engines
    from stages.parameters import load

    rows = engines(resolved(load(ROOT / "params.yaml").runtime.ledger, ROOT))
    if json_:
        out(json.dumps({"engines": rows}))
        return Exit.DONE
    for row in rows:
        scorer = row["scorer"] or {}
        name = " ".join(str(scorer.get(key, "?")) for key in ("engine", "version", "device", "dtype"))
        out(
            f"{row['digest']}  {name:<28}{row['pairs']:>14,} pairs{row['files']:>6}"
            f" files{row['bytes'] / 1e6:>10.1f} MB"
        )
        for file in row["corrupt"]:
            out(f"  corrupt: {file}")
    if not rows:
        out("nothing yet; `./rpt run scoring` fills it, `./rpt ledger rebuild` restores it from labels")
    return Exit.DONE


@ledger.command
def rebuild(
    *labels: Annotated[Path, Parameter(help="label artifacts; none means all of this workspace")],
) -> int:
    """Put the scored pairs of label artifacts back into the ledger, so that scoring again costs nothing.

    Examples: `./rpt ledger rebuild`; `./rpt ledger rebuild artifacts/demo/labels`
    """
    from flows.commands.ledger import rebuild as restore
    from stages.parameters import load

    places = [from_caller(place) for place in labels] or sorted(
        path.parent for path in (ROOT / "artifacts").glob("*/labels/manifest.json")
    )
    if not places:
        raise Failure(
            "there is nothing to rebuild from",
            "artifacts/ holds no labels",
            "`dvc pull` them, or name a directory",
            Exit.USAGE,
        )
    root = resolved(load(ROOT / "params.yaml").runtime.ledger, ROOT)
    for place in places:
        out(f"{place}: {restore(root, place):,} pairs added")
    return Exit.DONE
