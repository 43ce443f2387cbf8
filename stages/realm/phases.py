"""A phase of training in a stage: from a checkpoint if there is one, to the end, saying how it goes."""

from __future__ import annotations

from collections.abc import Callable

from stages.runner.interruption import Interruption
from stages.runner.stage import Context
from stages.training.checkpoints import Checkpoints, Restored, Saver

Phase = Callable[[Restored, Callable[[Restored], None]], Restored]
"""Trains from where it begins to the end, and calls what it is given after each update."""


def run_phase(
    context: Context, name: str, steps: int, begin: Restored, phase: Phase, said: Callable[[dict], str]
) -> Restored:
    """The phase's end, which is kept, so that a stage that is stopped in a later phase does not repeat it;
    `said` is what progress says of a row of history."""
    context.say.progress(0, steps, name, "compiling")
    with (
        Checkpoints(
            context.scratch / f"{name.replace(' ', '_')}.checkpoints", context.say.note
        ) as checkpoints,
        Interruption() as stop,
    ):
        saver, start = (
            Saver(checkpoints, context.runtime.checkpoint_seconds, stop),
            checkpoints.restore(begin.state) or begin,
        )

        def after(now: Restored) -> None:
            context.say.progress(now.step, steps, name, said(now.history[-1]))
            if saver.due or now.step == steps:
                saver.save(*now)

        ended = phase(start, after)
        checkpoints.wait()
        return ended
