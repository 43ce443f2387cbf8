"""What commands that only look find out about all stages, as fast as DVC can say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.dvc_task import StageState, waiting_dvc

if TYPE_CHECKING:
    from flows.plan import Step
    from stages.parameters import Configuration


def looked(stages: list[str]) -> tuple[Configuration, list[StageState], list[Step]]:
    """The configuration, every stage, and the plan of the named ones. DVC is imported in its own process
    while this one imports the rest.

    Raises:
        Failure: for a wrong parameter or stage, or a corpus without input.
    """
    with waiting_dvc() as dvc:
        from flows.execution import look
        from flows.plan import make_plan

        configuration, states = look(dvc)
        return configuration, states, make_plan(states, stages)
