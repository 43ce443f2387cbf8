"""Scratch directories, `.work/STAGE/CORPUS_OR_RUN/DIGEST`: where a stage keeps what it has until it is
whole.

The digest is that of the identity of the work, which stands beside the directory as JSON. Work of
another identity on the same output is set aside: it stays where it is, each run of the stage says so, and it
goes when the stage has finished or by `./rpt gc`.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from data_contracts.whole_files import write_atomically
from stages.identity.digest import short_digest
from stages.identity.work_identity import Identity, differences
from stages.runner.messages import Messages

SCRATCH = Path(".work")
CHECKPOINTS = "checkpoints"
HALF_WRITTEN = ".*.tmp"  # by `write_atomically` and `write_shard`
NUMBERED = "[0-9]" * 8
NAMED = 3  # names of what has changed that a sentence holds


def open_scratch(stage: str, item: str, identity: Identity, say: Messages) -> Path:
    """The scratch directory of exactly this work, without files that a killed writer has left half-written,
    and a note on each that was set aside.
    """
    mine = SCRATCH / stage / item / short_digest(identity)
    mine.mkdir(parents=True, exist_ok=True)
    for leftover in mine.rglob(HALF_WRITTEN):
        leftover.unlink()
    write_atomically(_record(mine), json.dumps(identity).encode())
    for other in others(mine):
        say.note(f"**{item}**: {_kept(other)}; {_remedy(stage, item, other, identity)}")
    return mine


def finish(scratch: Path) -> None:
    """Remove the scratch of a stage that has finished, and what was set aside for it."""
    shutil.rmtree(scratch.parent)


def others(mine: Path) -> Iterator[Path]:
    """The scratch directories beside `mine` that hold something."""
    yield from sorted(
        path for path in mine.parent.iterdir() if path.is_dir() and path != mine and any(path.iterdir())
    )


def remove(scratch: Path) -> None:
    """Remove one scratch directory and what is known of it."""
    shutil.rmtree(scratch)
    _record(scratch).unlink(missing_ok=True)


def identity_in(scratch: Path) -> Identity | None:
    """What the work in a scratch directory was, if that can still be read."""
    try:
        return json.loads(_record(scratch).read_bytes())
    except (OSError, ValueError):
        return None


def newest_checkpoint(scratch: Path) -> Path | None:
    """The checkpoint of the highest step."""
    return max((scratch / CHECKPOINTS).glob(NUMBERED), default=None)


def contents(scratch: Path) -> str:
    """What a scratch directory holds, and since when."""
    checkpoint = newest_checkpoint(scratch)
    count = sum(1 for _ in scratch.iterdir())
    what = (
        f"a checkpoint at step {int(checkpoint.name):,}"
        if checkpoint
        else f"half-finished work, {count:,} files or folders,"
    )
    return (
        f"{what} of"
        f" {time.strftime('%Y-%m-%d %H:%M', time.localtime((checkpoint or scratch).stat().st_mtime))}"
    )


def changed(before: Identity | None, now: Identity) -> str:
    """Why half-finished work is not gone on with, in words."""
    if before is None:
        return "nothing says what it was made with"
    parts = differences(before, now)
    return "; ".join(
        f"other {part}: {', '.join(names[:NAMED])}{', ...' if len(names) > NAMED else ''}"
        for part, names in parts.items()
    )


def _kept(scratch: Path) -> str:
    return f"{contents(scratch)} is kept in {scratch} until this stage has finished"


def _remedy(stage: str, item: str, other: Path, identity: Identity) -> str:
    """Work that differs in its code alone may be gone on with, if somebody who knows what has changed says
    so.
    """
    before = identity_in(other)
    why = changed(before, identity)
    if before and {*differences(before, identity)} == {"code"} and newest_checkpoint(other):
        return (
            f"{why}; `./rpt run --from-checkpoint {other} {stage}@{item}` goes on from it, `./rpt gc`"
            " removes it"
        )
    return f"{why}; `./rpt gc` removes it"


def _record(scratch: Path) -> Path:
    return scratch.with_suffix(".json")
