"""What commands that only look find out about all stages, as fast as DVC can say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_contracts.failure import Exit, Failure
from flows.dvc_task import StageState, waiting_dvc
from flows.workspace import holder

if TYPE_CHECKING:
    from flows.plan import Step
    from stages.parameters import Configuration


def looked(stages: list[str]) -> tuple[Configuration, list[StageState], list[Step]]:
    """The configuration, every stage, and the plan of the named ones. DVC is imported in its own process
    while this one imports the rest.

    Raises:
        Failure: (exit code 7) while a run goes, which changes what there is and which DVC lets nobody read;
            for a wrong parameter or stage, or a corpus without input.
    """
    if running := holder():
        cause = f"{running['purpose']} (process {running['pid']}) has changed it since {running['since']}"
        remedy = "`./rpt watch` shows that run; ask again when it has ended"
        raise Failure("what is stale cannot be said now", cause, remedy, Exit.LOCKED)
    with waiting_dvc() as dvc:
        from flows.execution import look
        from flows.plan import make_plan

        configuration, states = look(dvc)
        return configuration, states, make_plan(states, stages)
