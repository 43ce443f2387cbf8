"""`--from-checkpoint` of `./rpt run`: a training goes on from a checkpoint that was set aside when its code
changed.

The command checks what can be known before anything runs, and the stage the rest when its inputs are there.
The checkpoint is copied, so that one that does not fit is still kept where it was.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from data_contracts.failure import Exit, Failure
from stages.identity.scratch import CHECKPOINTS, changed, identity_in, newest_checkpoint
from stages.identity.work_identity import Identity, differences
from stages.runner.messages import Messages

VARIABLE = "RPT_FROM_CHECKPOINT"


def ask_for(directory: Path, stages: list[str]) -> str:
    """What `VARIABLE` must be for the one stage of `stages` to go on from the newest checkpoint in a scratch
    directory.

    Raises:
        Failure: (exit code 2) if no stage of one corpus or run is named, or there is nothing to go on from.
    """
    what = f"--from-checkpoint {directory}"
    if len(stages) != 1 or "@" not in stages[0]:
        raise Failure(
            what, "it is of one training", "name that alone, such as training@demo-rpt_sem", Exit.USAGE
        )
    if newest_checkpoint(directory) is None or identity_in(directory) is None:
        remedy = "name a directory .work/STAGE/NAME/..., as `./rpt gc` lists them"
        raise Failure(what, "there is no checkpoint with what it was made of", remedy, Exit.USAGE)
    return f"{stages[0]}={directory.resolve()}"


def take_up(scratch: Path, stage: str, item: str, identity: Identity, say: Messages) -> None:
    """Copy the checkpoint that was asked for, if one was asked for this stage, into its scratch directory.

    Raises:
        Failure: (exit code 2) if it is of other inputs or parameters, or not ahead of what is there.
    """
    target, _, directory = os.environ.get(VARIABLE, "").partition("=")
    if target != f"{stage}@{item}":
        return
    checkpoint, before = newest_checkpoint(Path(directory)), identity_in(Path(directory))
    if checkpoint is None or before is None or {*differences(before, identity)} - {"code"}:
        remedy = f"undo that in params.yaml, or `./rpt run {target}` without it"
        raise Failure(
            f"the checkpoint in {directory} is of other work", changed(before, identity), remedy, Exit.USAGE
        )
    own = newest_checkpoint(scratch)
    if own and int(own.name) >= int(checkpoint.name):
        cause = (
            f"the one of step {int(checkpoint.name):,} was asked for, and {scratch} has one of step"
            f" {int(own.name):,}"
        )
        raise Failure(
            f"{target} has come further by itself", cause, f"`./rpt run {target}` goes on from it", Exit.USAGE
        )
    copy = scratch / CHECKPOINTS / f"{checkpoint.name}.copying"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(checkpoint, copy)
    copy.rename(copy.with_suffix(""))
    say.note(
        f"**{item}** takes up the checkpoint of step {int(checkpoint.name):,} from {directory}"
        f" ({changed(before, identity)})"
    )
