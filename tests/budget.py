"""What each folder of tests may cost: seconds added up over its tests, against tests/budget.toml.

A pytest plugin. Sums over a folder are compared, never one test, and with slack, because machines differ:
from 1.5 times its budget a folder is named, from 3 times it fails the run, and both only with `--budget`,
which CI gives. docs/testing.md says what to do then.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path

import pytest

BUDGET = Path(__file__).with_suffix(".toml")
WARNS, FAILS = 1.5, 3.0


def folder_of(test: str) -> str:
    """`tests/model/baselines/test_x.py::test_y` is of `model`, a file right below tests of `.`."""
    parts = test.split("::")[0].split("/")
    return parts[1] if len(parts) > 2 else "."


def verdict(seconds: dict[str, float], budget: dict[str, float]) -> tuple[list[str], bool]:
    """A line for every folder that is dear or has no budget, and whether the run fails for one."""
    lines, failed = [], False
    for folder, spent in sorted(seconds.items()):
        if folder not in budget:
            lines.append(f"tests/{folder}: {spent:.0f} s and no budget: add it to {BUDGET.name}")
            failed = True
        elif spent >= WARNS * budget[folder]:
            lines.append(
                f"tests/{folder}: {spent:.0f} s, {spent / budget[folder]:.1f} times its budget of"
                f" {budget[folder]:.0f} s"
            )
            failed |= spent >= FAILS * budget[folder]
    return lines, failed


class Spent:
    """Adds up the seconds of every folder, and shows the verdict at the end."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[folder_of(report.nodeid)] += report.duration

    def _verdict(self) -> tuple[list[str], bool]:
        return verdict(self.seconds, tomllib.loads(BUDGET.read_text())["seconds"])

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._verdict()[1] and not session.exitstatus:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        spent = ", ".join(f"{folder} {seconds:.0f}" for folder, seconds in self.seconds.most_common())
        terminalreporter.section("seconds a folder")
        for line in [spent, *self._verdict()[0]]:
            terminalreporter.write_line(line)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--budget", action="store_true", help="compare the seconds of each folder with tests/budget.toml"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--budget") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Spent())
