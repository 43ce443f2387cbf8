"""The commands for a Prefect server that stays."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from data_contracts.failure import Exit
from flows.terminal.output import out


def up(*, port: Annotated[int, Parameter(help="preferred port of the Prefect server")] = 4200) -> int:
    """Keep a Prefect server and a worker running on loopback until Ctrl-C or `./rpt down`. Uses
    PREFECT_API_URL instead if it is set.
    """
    from flows.commands.serving import serve

    return serve(port)


def down() -> int:
    """Stop what `./rpt up` started in this workspace."""
    from flows.commands.serving import stop

    return stop()


def env() -> int:
    """Print shell lines that make `prefect` and `dvc` of this workspace work from any directory:
    `eval "$(./rpt env)"`.
    """
    from flows.commands.serving import environment_lines

    out("\n".join(environment_lines()))
    return Exit.DONE
