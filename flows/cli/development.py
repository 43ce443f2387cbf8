"""The commands for whoever changes the code: tests, linters and benchmarks."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from data_contracts.failure import Exit, Failure
from flows.terminal.output import Json
from flows.workspace import ROOT


def test(*arguments: Annotated[str, Parameter(allow_leading_hyphen=True, help="given to pytest")]) -> int:
    """Run the tests: the quick tier; `--all` adds browsers, kills, long learning tests and vLLM. Other
    arguments go to pytest.

    Examples: `./rpt test`; `./rpt test --all`; `./rpt test tests/stages -k bm25`
    """
    from flows.commands.testing import run_tests

    return run_tests(list(arguments))


def lint() -> int:
    """Check style, types and layers of the code: ruff, mypy and import-linter.

    Example: `./rpt lint`
    """
    from flows.commands.testing import run_lint

    return run_lint()


def bench(
    name: Annotated[str, Parameter(help="file in benchmarks/")],
    /,
    *arguments: Annotated[str, Parameter(allow_leading_hyphen=True)],
    json_: Json = False,
) -> int:
    """Run one benchmark and print its figures and bars. Some take arguments, which their files describe.

    Example: `./rpt bench pipeline --json`
    """
    import subprocess

    from flows.workspace import child_environment

    known = sorted(path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py") if path.stem != "result")
    if name not in known:
        raise Failure(
            f"benchmark {name!r}", "there is none of this name", f"one of {', '.join(known)}", Exit.USAGE
        )
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments, *(["--json"] if json_ else [])]
    return subprocess.call(command, cwd=ROOT, env=child_environment())
