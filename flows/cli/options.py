"""Options that several commands of `rpt` have."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

Stages = Annotated[str, Parameter(help="stages such as `scoring` or `scoring@demo`; none means all")]
Overrides = Annotated[
    tuple[str, ...],
    Parameter(
        name=["--override", "-o"],
        negative=(),
        help="KEY=VALUE, an edit of params.yaml that stays, such as -o scoring.candidates=12",
    ),
]
Verbose = Annotated[
    bool, Parameter(name=["--verbose", "-v"], negative=(), help="show the log lines of stages too")
]


def parsed(overrides: tuple[str, ...]) -> dict[str, object]:
    """The overrides of a command line, by their keys; raises like `parse_override`."""
    from flows.overrides import parse_override

    return dict(map(parse_override, overrides))
